"""What is measured, each as `python -m benchmarks.NAME [--json]`; `python -m benchmarks` lists them."""
