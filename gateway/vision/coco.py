"""COCO's classes: 80 names under category ids 1–90 with gaps, as both kinds of model number them."""

from __future__ import annotations

_NAMES = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant - stop_sign parking_meter "
    "bench bird cat dog horse sheep cow elephant bear zebra giraffe - backpack umbrella - - handbag tie suitcase "
    "frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle - "
    "wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair "
    "couch potted_plant bed - dining_table - - toilet - tv laptop mouse remote keyboard cell_phone microwave oven "
    "toaster sink refrigerator - book clock vase scissors teddy_bear hair_drier toothbrush"
)

COCO90: tuple[str, ...] = tuple("" if name == "-" else name.replace("_", " ") for name in _NAMES.split())
"""By category id − 1, empty where COCO has no class: how SSD models number them."""

COCO80: tuple[str, ...] = tuple(name for name in COCO90 if name)
"""Without the gaps: how YOLO models number them."""

CATEGORY_ID: dict[str, int] = {name: index + 1 for index, name in enumerate(COCO90) if name}
"""COCO's own category id of each name."""
