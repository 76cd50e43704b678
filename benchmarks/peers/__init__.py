"""The parts of benchmarks/registration.py: pairs, tools, the process of a tool, scores, the picture."""
