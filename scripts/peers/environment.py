"""Where the peers' packages live, and how a peer is started. Not a virtual environment: a folder on PYTHONPATH needs
nothing but pip, where `python3 -m venv` is a package of its own on some systems.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PACKAGES = ROOT / "target" / "peers"


def install() -> None:
    """Installs the pinned packages below target/, unless they are there already for this Python."""
    stamp = PACKAGES / "installed.txt"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--upgrade"]
    subprocess.run([*command, "--target", PACKAGES, "-r", REQUIREMENTS], check=True)
    stamp.write_text(wanted)


def peer(script: str, *arguments) -> list[str]:
    """The command that runs a script of this folder; to be started with `environment()`."""
    return [sys.executable, "-s", str(REQUIREMENTS.with_name(script)), *map(str, arguments)]


def environment() -> dict[str, str]:
    """The peers' environment variables: ours, with their packages in front."""
    return {**os.environ, "PYTHONPATH": str(PACKAGES), "PYTHONDONTWRITEBYTECODE": "1"}
