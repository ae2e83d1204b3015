"""Where the peers' packages live, and how a peer is started. Not a virtual environment: a folder on PYTHONPATH needs
nothing but pip, where `python3 -m venv` is a package of its own on some systems.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# A gigabyte that only the benchmark of sales needs.
ENGINES = Path(__file__).with_name("requirements-engines.txt")
PACKAGES = ROOT / "target" / "peers"
ENGINE_PACKAGES = ROOT / "target" / "peers-engines"


def install() -> None:
    """Installs the pinned packages below target/, unless they are there already for this Python."""
    install_from(REQUIREMENTS, PACKAGES)


def install_engines() -> None:
    """Installs the other engines likewise, in a folder of their own."""
    # What both lists need is to be the same release, whichever folder it is found in.
    install_from(ENGINES, ENGINE_PACKAGES, "--constraint", str(REQUIREMENTS))


def install_from(requirements: Path, folder: Path, *options: str) -> None:
    stamp = folder / "installed.txt"
    wanted = f"{sys.version}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--upgrade", *options]
    subprocess.run([*command, "--target", folder, "-r", requirements], check=True)
    stamp.write_text(wanted)


def peer(script: str, *arguments) -> list[str]:
    """The command that runs a script of this folder; to be started with `environment()`."""
    return [sys.executable, "-s", str(REQUIREMENTS.with_name(script)), *map(str, arguments)]


def environment() -> dict[str, str]:
    """The peers' environment variables: ours, with their packages in front."""
    packages = os.pathsep.join(map(str, [PACKAGES, ENGINE_PACKAGES]))
    return {**os.environ, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
