"""What is measured, each as `python -m benchmarks.NAME [--json]`; `python -m benchmarks` lists
them.
"""

import os

# Set before any library starts its threads: those of OpenMP that wait must not spin on cores that
# others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
