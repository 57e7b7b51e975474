"""Tiny data sets in the layouts they are published in; every number here is made up."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

Matrix = Sequence[Sequence[float]]


def text(path: Path, lines: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def array(path: Path, matrix: Matrix) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(matrix), allow_pickle=False)
    return path


def rows(matrix: Matrix) -> list[str]:
    return [",".join(f"{value:g}" for value in row) for row in matrix]


def smd(root: Path, entity: str = "machine-1-1", *, ranges: Sequence[str] = ("1-3:1,3",)) -> Path:
    """Four points to train on, six to test on, of which 1 and 2 are labelled."""
    text(root / f"train/{entity}.txt", rows([[i, 0, 5] for i in range(4)]))
    text(root / f"test/{entity}.txt", rows([[i, 1, 5] for i in range(6)]))
    text(root / f"test_label/{entity}.txt", "011000")
    text(root / f"interpretation_label/{entity}.txt", ranges)
    return root


def telemanom(root: Path) -> Path:
    """P-1 and P-2 of SMAP, the second listed twice; C-1 of MSL has another width."""
    for name, width in (("P-1", 2), ("P-2", 2), ("C-1", 3)):
        array(root / f"data/train/{name}.npy", np.zeros((4, width)).tolist())
        array(root / f"data/test/{name}.npy", np.ones((6, width)).tolist())
    text(
        root / "labeled_anomalies.csv",
        [
            "chan_id,spacecraft,anomaly_sequences,class,num_values",
            'P-1,SMAP,"[[0, 1], [5, 5]]","[point, contextual]",6',
            'P-2,SMAP,"[[1, 3]]",[point],6',
            'P-2,SMAP,"[[2, 4]]",[point],6',
            'C-1,MSL,"[[2, 2]]",[point],6',
        ],
    )
    return root


def swat(root: Path) -> Path:
    header = " Timestamp,FIT101, MV101,Normal/Attack"
    stages = ",P1,P1,"
    normal = [f' 22/12/2015 4:00:0{i} PM,"2,{i}",1,Normal' for i in range(3)]
    attack = [
        " 28/12/2015 10:00:00 AM,2.5,1,Normal",
        " 28/12/2015 10:00:01 AM,2.5,2,A ttack",
        " 28/12/2015 10:00:02 AM,2.5,2,Attack",
    ]
    text(root / "SWaT_Dataset_Normal_v1.csv", [stages, header, *normal])
    text(root / "SWaT_Dataset_Attack_v0.csv", [stages, header, *attack])
    return root


def wadi(root: Path) -> Path:
    """The files of 2019: an empty dimension, and an end without values and labels."""
    names = "Row,Date,Time,1_AIT_001_PV,2_LS_001_AL,3_P_001_STATUS"
    text(
        root / "WADI_14days_new.csv",
        [names, *(f"{i},25/9/2017,00:00.0,0.{i},,1" for i in (1, 2, 5))],
    )
    text(
        root / "WADI_attackdataLABLE.csv",
        [
            ",,,,,,",
            f'{names.replace("Row", "Row ")},"Attack LABLE (1:No Attack, -1:Attack)"',
            "1,9/10/17,00:00.0,0.5,,1,1",
            "2,9/10/17,00:01.0,0.5,,2,-1",
            "3,9/10/17,00:02.0,,,2,1",
            "4,,,,,,",
            ",,,,,,",
        ],
    )
    return root


def wadi_of_2017(root: Path) -> Path:
    names = r"Row,Date,Time,\\HOST\LOG_DATA\LOG\1_AIT_001_PV,\\HOST\LOG_DATA\LOG\3_P_001_STATUS"
    above = ["Plant log", "from 9/25/2017", "", "two tags"]
    body = [f"{i},9/25/2017,6:00:0{i}.000 PM,0.{i},1" for i in (1, 2, 3)]
    text(root / "WADI_14days.csv", [*above, names, *body])
    text(root / "WADI_attackdata.csv", [names, *body])
    return root


def nab(root: Path, *, count: int = 20) -> Path:
    """Twenty hourly points of which 10 and 11 are labelled; the second series' clock jumps back."""
    stamps = [f"2014-01-0{1 + i // 24} {i % 24:02d}:00:00" for i in range(count)]
    values = [f"{stamp},{i}" for i, stamp in enumerate(stamps)]
    text(root / "data/realKnownCause/taxi.csv", ["timestamp,value", *values])
    text(root / "data/realKnownCause/jump.csv", ["timestamp,value", *values[:9], *values[5:]])
    window = [["2014-01-01 10:00:00.000000", "2014-01-01 11:00:00.000000"]]
    windows = {"realKnownCause/taxi.csv": window, "realKnownCause/jump.csv": window}
    text(root / "labels/combined_windows.json", [json.dumps(windows)])
    return root


def skab(root: Path, *, count: int = 403) -> Path:
    names = "datetime;Current;Volume Flow RateRMS"
    lines = [f"2020-03-09 1{i // 3600}:{i // 60 % 60:02d}:{i % 60:02d};0.5;3" for i in range(count)]
    marked = [f"{line};{float(i == 401)};0.0" for i, line in enumerate(lines)]
    text(root / "data/anomaly-free/anomaly-free.csv", [names, *lines])
    text(root / "data/valve1/0.csv", [f"{names};anomaly;changepoint", *marked])
    return root


def psm(root: Path, *, minutes: Sequence[int] = (4, 5, 6)) -> Path:
    names = "timestamp_(min),feature_0,feature_1"
    text(root / "train.csv", [names, "0.0,1,", "1.0,2,3", "3.0,2,3"])
    text(root / "test.csv", [names, *(f"{i}.0,1,2" for i in (4, 5, 6))])
    labels = [f"{i},{int(i == 5)}" for i in minutes]
    text(root / "test_label.csv", ["timestamp_(min),label", *labels])
    return root


def asd(root: Path) -> Path:
    array(root / "processed/omi-1_train.npy", [[0, 1], [1, 1]])
    array(root / "processed/omi-1_test.npy", [[0, 1], [1, 1], [2, 1]])
    text(root / "processed/omi-1_test_label.csv", ["0", "1", "1"])
    text(root / "interpretation_label/omi-1.txt", ["1-2:2"])
    return root


LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "smd": smd,
    "telemanom": telemanom,
    "swat": swat,
    "wadi": wadi,
    "nab": nab,
    "skab": skab,
    "psm": psm,
    "asd": asd,
}
