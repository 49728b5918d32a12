"""Seeds and files: the two functions that the specification names here."""

import importlib.util
import random
import shutil
from pathlib import Path


def set_random_seed(seed: int) -> None:
    """Seeds random, NumPy and, where it is installed, torch with CUDA, for this process.

    cuDNN is told to be deterministic. torch is imported only if it is installed, which costs seconds.
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def copy_file(source: str | Path, destination: str | Path) -> Path:
    """The path of a copy of `source` with its times; into `destination` if that is a folder. Missing folders are made.

    Raises: FileNotFoundError if there is no such source file.
    """
    target = Path(destination)
    if target.is_dir():
        target = target / Path(source).name
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(source, target))
