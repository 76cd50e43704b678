"""Whether otreg can compute here, with what, and what to do about what is wrong.

Nothing is believed that can be tried: each reduction solves a small problem on each device, in a process of its own, so
that a crash or a hang is a finding like any other. This process imports neither PyTorch nor numba.
"""

from otreg.doctor.diagnosis import Diagnosis, Graphics, Problem, Threads, Trial
from otreg.doctor.examination import examine

__all__ = ["Diagnosis", "Graphics", "Problem", "Threads", "Trial", "examine"]
