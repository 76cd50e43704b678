"""What the command spares itself of PyTorch is there for whoever asks for it."""

import subprocess
import sys

SCRIPT = """
import sys
from otreg_cli.spared_torch import SPARED, spare_torch
if SPARE:
    spare_torch()
import torch
module = sys.modules[SPARED]
assert ("aten" in vars(module)) != SPARE
shape = torch.linalg.inv(torch.eye(3)).shape
assert not SPARE or "aten" not in vars(module), "arithmetic with data does not ask for it"
assert not hasattr(module, "__wrapped__") and not hasattr(module, "nothing_of_this_name")
assert module.aten is torch.ops.aten and "aten" in vars(module)
assert torch.linalg.inv(torch.empty(5, 2, 2, device="meta")).shape == (5, 2, 2)
assert torch._meta_registrations is module
"""


def test_a_spared_part_is_loaded_when_something_is_looked_for_in_it() -> None:
    for spare in (True, False):
        subprocess.run([sys.executable, "-c", f"SPARE = {spare}\n{SCRIPT}"], check=True)


def test_the_installed_command_registers_without_it(pair, tmp_path) -> None:
    script = (
        "import sys, os\nfrom otreg_cli.start import main\n"
        "os._exit = lambda code: sys.exit(f'{code} ' + str('aten' in vars(sys.modules['torch._meta_registrations'])))\n"
        f"sys.argv = ['otreg', 'register', *{[str(file) for file in pair]!r}, '-o', {str(tmp_path / 'moved.ply')!r}, "
        "'--blur', '6%', '--init', 'none']\nmain()"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.stderr.strip() == "0 False"
