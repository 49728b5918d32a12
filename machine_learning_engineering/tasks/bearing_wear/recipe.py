"""Bearings that wear out: each has its own life, its own sensor offset and gain, and twenty-five readings."""

import numpy as np
import pandas as pd

BEARINGS = 120
READINGS = 25  # of each bearing
LIFE_HOURS = 3000
GREASES = {"lithium": 1.0, "polyurea": 1.25, "calcium": 0.85}


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    names = rng.permutation(np.arange(1000, 9999))[:BEARINGS]
    return pd.concat([_bearing(rng, f"B{name}") for name in names], ignore_index=True)


def _bearing(rng: np.random.Generator, name: str) -> pd.DataFrame:
    """The readings of one bearing up to some day of its life; wear goes from 0 to 1 and is not recorded."""
    grease = str(rng.choice(list(GREASES)))
    usual_load, usual_speed = rng.uniform(2, 9), rng.uniform(600, 2400)
    stress = (usual_load / 5) ** 1.2 * (usual_speed / 1500) ** 0.5
    life = LIFE_HOURS * GREASES[grease] / stress * rng.lognormal(0, 0.25)
    so_far = rng.uniform(0.3, 1.0)  # or else the last reading would tell the life
    hours = np.sort(rng.uniform(0, life * so_far, READINGS))
    wear = hours / life
    load = usual_load * rng.lognormal(0, 0.15, READINGS)
    speed = usual_speed * rng.lognormal(0, 0.15, READINGS)
    offset, gain = rng.normal(0, 1.0), rng.lognormal(0, 0.3)
    room = rng.normal(21, 5, READINGS)
    growth = gain * wear**2 * load * speed / 1500
    vibration = 3 + offset + 0.5 * load * speed / 1500 + growth + rng.normal(0, 0.25, READINGS)
    heat = 0.9 * load + 6 * speed / 1500 + (2 + 8 * wear**3) * (1 + 0.4 * offset) + rng.normal(0, 1.2, READINGS)
    return pd.DataFrame(
        {
            "bearing": name,
            "hours_run": (hours + rng.uniform(0, 300)).round(),  # the meter starts before the bearing is put in
            "grease": grease,
            "load_kn": load.round(2),
            "speed_rpm": speed.round(),
            "vibration_mm_s": vibration.round(3),
            "temperature_c": (room + heat).round(1),
            "room_c": (room + rng.normal(0, 0.5, READINGS)).round(1),
            "debris_ppm": np.round(np.exp(1 + 2 * wear + rng.normal(0, 0.5, READINGS)), 1),
            "supply_v": rng.normal(24, 0.3, READINGS).round(2),
            "hours_left": (life - hours).round(1),
        }
    )
