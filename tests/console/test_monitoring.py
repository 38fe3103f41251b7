"""The dashboard and the alerting rules ask for metrics that exist, in words that a PromQL server understands."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from gateway.console.metrics import HELP
from gateway.console.openmetrics import render
from gateway.events import SEVERITIES
from tests.conftest import ROOT

if TYPE_CHECKING:
    from tests.servers.influx import Victoria

Rule = dict[str, Any]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "configs/grafana/zhiwang.json").read_text(encoding="utf-8"))
RULES: list[Rule] = [
    rule
    for group in YAML(typ="safe", pure=True).load((ROOT / "configs/prometheus-rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
LABELS = {"component": {"kind": "sink", "name": "influx"}, "thing": {"thing": "water{gauge=g1}"}}
LOW_IS_WRONG = {"up", "zhiwang_component_up", "zhiwang_outbox_durable", "zhiwang_source_connected"}
STANDS_STILL = "zhiwang_camera_analysed_total"


def asked(server: Victoria, expression: str) -> list[dict[str, Any]]:
    """What a server that speaks PromQL makes of it now."""
    text = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
    query = urllib.parse.urlencode({"query": text, "nocache": "1"})
    try:
        with urllib.request.urlopen(f"{server.url}/api/v1/query?{query}", timeout=10) as answer:  # noqa: S310 - our own
            return json.loads(answer.read())["data"]["result"]
    except urllib.error.HTTPError as error:
        with error:
            pytest.fail(f"{expression}: {error.read().decode()}")


@pytest.fixture(scope="module")
def scraped(victoria: Victoria) -> Victoria:
    """Ten minutes of two gateways: with `well` nothing happens but work, with `ill` everything is wrong."""
    now_ms = time.time_ns() // 10**6
    for minute in range(11):
        samples: list[tuple[str, dict[str, str], float]] = []
        for name in ("up", *HELP):
            labels = LABELS.get(name.split("_")[1] if "_" in name else "", {"source": "here", "sink": "influx/series"})
            for instance in ("well", "ill"):
                wrong = instance == "ill"
                low, counts = name in LOW_IS_WRONG, name.endswith("_total")
                value = float(wrong != low) * 1000 * (minute if counts else 1)
                if name == STANDS_STILL:
                    value = 7.0 if wrong else 7.0 * minute
                samples.append((name, {"job": "zhiwang", "instance": instance, **labels}, value))
        at = now_ms - (10 - minute) * 60_000 - 30_000  # what is newest is not shown yet
        url = f"{victoria.url}/api/v1/import/prometheus?timestamp={at}"
        with urllib.request.urlopen(url, data=render(samples).encode(), timeout=10):  # noqa: S310 - our own server
            pass
    victoria.export("up")
    return victoria


def test_only_metrics_that_exist_are_asked_for() -> None:
    """Of the names in the table of docs/operators.md, and Prometheus' own `up`."""
    used = {
        name for text in (*EXPRESSIONS, *(rule["expr"] for rule in RULES)) for name in re.findall(r"zhiwang_\w+", text)
    }
    assert used - HELP.keys() == set()
    assert len(used) > len(HELP) / 2
    assert "zhiwang_outbox_durable" in DASHBOARD["templating"]["list"][1]["definition"]


def test_every_query_of_the_dashboard_is_answered(scraped: Victoria) -> None:
    """Given scrapes, when each panel asks, then it is shown something (but for those that show only trouble)."""
    assert len(EXPRESSIONS) > 30
    assert [expression for expression in EXPRESSIONS if not asked(scraped, expression)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_fires_for_the_gateway_that_is_ill_and_not_for_the_other(scraped: Victoria, rule: Rule) -> None:
    """And says who, what, and what to do."""
    assert {one["metric"]["instance"] for one in asked(scraped, rule["expr"])} == {"ill"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_names_ids_and_places_are_told_apart() -> None:
    """No two rules of a name, no two panels of an id, none over another."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
