"""docs/configuration.md against the source: every variable, page and metric of ours is in it, and nothing else is."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs/configuration.md").read_text()
NAMED = set(re.findall(r"`([^`]+)`", TEXT))
SOURCES = [path for top in ("common", "ztunnel", "waypoint") for path in (ROOT / top).rglob("*.cc")]

# How the source reads a variable: EnvReader's functions, or a helper that is given one and a name. Names without an EnvReader
# beside them are a list's, or a constant's.
READ = re.compile(r'(?:env(?:\.\w+(?:<\w+>)?\(|, )|read_\w+\(\w+, \w+, |kThreads = |std::getenv\()"([A-Z][A-Z0-9_]+)"')
LIST = re.compile(r'(?:kNames|kPrefixes|read_name\(env, )\{([^}]*)\}')
PAGE = re.compile(r'site\.on\(\s*"(/[^"]*)"')
METRIC = re.compile(r'"(culvert_[a-z_]+)"')
PAGES_APART = {"/", "/debug/pprof/heap/profiling"}  # that tells of the others, and one that only says no
NOT_PAGES = {path for path in NAMED if path.startswith(("/var/", "/tmp/"))}


def source() -> str:
    return "\n".join(path.read_text() for path in SOURCES)


def variables() -> set[str]:
    found = set(READ.findall(source()))
    for names in LIST.findall(source()):
        found.update(re.findall(r'"([A-Z0-9_]+)"', names))
    return {name + "*" if name.endswith("_") else name for name in found}


def test_every_variable_is_documented_and_every_documented_variable_exists() -> None:
    read = variables()
    assert len(read) > 70, "the pattern does not find them any more"
    documented = {word.split("=")[0] for word in NAMED if re.fullmatch(r"[A-Z][A-Z0-9]*_[A-Z0-9_]*\*?(=\S+)?|NETWORK|CONCURRENCY", word)}
    # Metadata is read by prefix, and named where it means something.
    by_prefix = {"ISTIO_META_*", "ISTIO_METAJSON_*", "ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_PROXY_ADDR", "CULVERT_"}
    assert read - documented == set()
    assert documented - read - by_prefix == set()


def test_every_page_is_documented_and_every_documented_page_exists() -> None:
    documented = {match[1] for word in NAMED if (match := re.fullmatch(r"(?:POST )?(/[a-z_/]+)(?:\[?\?.*)?", word))}
    assert documented - NOT_PAGES == set(PAGE.findall(source())) - PAGES_APART


def test_every_metric_of_ours_is_documented_and_every_documented_one_exists() -> None:
    in_source = set(METRIC.findall(source()))
    documented = {name.removesuffix("_total") for name in NAMED if name.startswith("culvert_")}
    assert in_source == documented
