"""Task

What the task card says. The values below only show the types: a script gets its own.
"""

TARGET: str = "target"
ID: str = "id"
SPELT: list[str] = []
GROUP: str = "group"
TIME: str = "time"
CLASSES: list[str] = []
COLUMNS: list[str] = []
NUMBERS: list[str] = []
AMOUNTS: list[str] = []
COORDINATES: list[str] = []
CATEGORIES: list[str] = []
TEXTS: list[str] = []
DATES: list[str] = []
LEVEL: float = 0.5
SCALE: float = 1.0
ROWS: int = 0
SEED: int = 0
THREADS: int = 1
