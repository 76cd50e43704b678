"""The parts of benchmarks/transport.py: geometries, tools, the process of a tool, warm steps, the picture."""
