"""The runtimes, which load and run one model version: ONNX and scikit-learn, behind one Protocol."""
