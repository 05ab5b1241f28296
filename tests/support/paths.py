"""The repository's root, and the optional folder of shared data beside it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GROWTHBOOK_CASES = ROOT.parent / "shared" / "data" / "growthbook-cases.json"
"""GrowthBook's public test vectors. Tests that need the file skip where it is absent."""
KUBERAY_SERVICES = ROOT.parent / "shared" / "data" / "kuberay-rayservices.yaml"
"""KubeRay's definition of a RayService. Tests that need the file skip where it is absent."""
