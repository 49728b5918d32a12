"""Used machines whose prices are products: of the model's price when new, age, use, place, equipment and the market."""

import numpy as np
import pandas as pd

from machine_learning_engineering.tasks.derive import Floats

ROWS = 4000
NOISE = 0.13  # standard deviation of the logarithm of the price
KINDS = {"excavator": (90e3, 0.10), "wheel loader": (70e3, 0.09), "forklift": (25e3, 0.13), "crane": (240e3, 0.06),
         "compressor": (12e3, 0.15), "road roller": (55e3, 0.11)}  # fmt: skip
MAKERS = ("Arvid", "Bolton", "Castor", "Dahl", "Enzo", "Fuji-Ito", "Grant", "Holm")
COUNTRIES = ("AT", "BE", "CZ", "DE", "DK", "ES", "FR", "IT", "NL", "PL", "SE")
MODELS_PER_LINE = 4
SITES = 60
HOURS_A_YEAR = 900


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    models = _models(rng)
    table = models.iloc[rng.choice(len(models), ROWS, p=_popularity(rng, len(models)))].reset_index(drop=True)
    sold = pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 6 * 365, ROWS), unit="D")
    age = rng.gamma(2.2, 3.2, ROWS)
    use = rng.lognormal(0, 0.5, ROWS)
    grade = np.clip(np.round(3.6 - 0.06 * age - 0.5 * np.log(use) + 0.7 * rng.standard_normal(ROWS)), 1, 5)
    serviced = rng.random(ROWS) < 1 / (1 + np.exp(0.25 * age - 2))
    site = rng.integers(0, SITES, ROWS)
    attachments = rng.poisson(1.2, ROWS)
    place = rng.normal(0, 0.12, SITES)[site]
    value = (
        np.log(table["new_price"].to_numpy())
        - table["decay"].to_numpy() * age * (0.6 + 0.4 * use)
        + 0.12 * (grade - 3) + 0.1 * serviced + 0.05 * np.minimum(attachments, 4)
        + place + _market(sold, table["kind"] == "crane")
    )  # fmt: skip
    columns = {
        "sold_on": sold.strftime("%Y-%m-%d"),
        "first_registered": (sold - pd.to_timedelta(np.round(age * 365.25), unit="D")).strftime("%Y-%m-%d"),
        "kind": table["kind"], "maker": table["maker"], "model": table["model"],
        "engine_kw": (table["power"] * rng.normal(1, 0.02, ROWS)).round(1),
        "operating_hours": (HOURS_A_YEAR * age * use).round(),
        "condition": grade, "service_book": np.where(serviced, "yes", "no"),
        "attachments": attachments, "site": [f"S{n:03d}" for n in site],
        "country": np.array(COUNTRIES)[(site * 7) % len(COUNTRIES)],
        "colour": rng.choice(["yellow", "orange", "white", "green", "grey"], ROWS),
        "auctioneer": rng.integers(100, 180, ROWS), "lot_weather_c": rng.normal(12, 8, ROWS).round(1),
        "price": np.exp(value + NOISE * rng.standard_normal(ROWS)).round(-1).clip(min=50),
    }  # fmt: skip
    return _with_gaps(rng, pd.DataFrame(columns), age, use)


def _models(rng: np.random.Generator) -> pd.DataFrame:
    """Every model on sale: its kind, maker, power in kW, price when new and loss of value a year."""
    standing = dict(zip(MAKERS, rng.normal(0, 0.2, len(MAKERS)), strict=True))
    rows = []
    for kind, (price, decay) in KINDS.items():
        for maker in MAKERS:
            for size in rng.uniform(-0.6, 0.6, MODELS_PER_LINE):
                new_price = price * np.exp(size + standing[maker] + rng.normal(0, 0.1))
                power = 80 * np.exp(0.8 * size + rng.normal(0, 0.1))
                model = f"{maker[0]}{kind[0].upper()}{rng.integers(100, 999)}"
                loss = decay * (1 - 0.8 * standing[maker])
                rows.append((kind, maker, model, power, new_price, loss))
    return pd.DataFrame(rows, columns=["kind", "maker", "model", "power", "new_price", "decay"])


def _popularity(rng: np.random.Generator, models: int) -> Floats:
    weights = rng.gamma(0.8, 1.0, models) + 0.05
    share: Floats = weights / weights.sum()
    return share


def _market(sold: pd.DatetimeIndex, crane: "pd.Series[bool]") -> Floats:
    """What the market adds to the logarithm of the price: a yearly rise, steeper for cranes, and a peak in spring."""
    years = np.asarray((sold - sold.min()).days, dtype=float) / 365.25
    season = 0.07 * np.cos(2 * np.pi * (np.asarray(sold.day_of_year) - 100) / 365)
    level: Floats = years * np.where(crane, 0.07, 0.03) + season
    return level


def _with_gaps(rng: np.random.Generator, table: pd.DataFrame, age: Floats, use: Floats) -> pd.DataFrame:
    """The table with cells missing: some at random, and operating hours and condition where they would look bad."""
    hidden = rng.random(len(table)) < np.clip(0.03 + 0.25 * (use > 1.5), 0, 1)
    table.loc[hidden, "operating_hours"] = np.nan
    table.loc[rng.random(len(table)) < np.where(table["condition"] <= 2, 0.35, 0.1), "condition"] = np.nan
    table.loc[rng.random(len(table)) < np.where(age > 12, 0.3, 0.05), "service_book"] = np.nan
    for name, share in (("engine_kw", 0.1), ("colour", 0.2), ("model", 0.04)):
        table.loc[rng.random(len(table)) < share, name] = np.nan
    return table
