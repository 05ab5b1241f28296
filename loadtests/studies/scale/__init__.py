"""What the control plane of many machines and routes costs one Redis, and how soon changes and aborts are in force."""
