"""Dependencies point one way: every #include of our own files against the table of who may include whom."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A folder may include itself and what is listed for it (and, through it, nothing else).
MAY_INCLUDE = {
    "common/base": [],
    "common/metrics": ["common/base"],
    "common/net": ["common/base", "common/metrics"],
    "common/state": ["common/base", "common/net"],
    "common/authz": ["common/base", "common/net", "common/state"],
    "common/tls": ["common/base", "common/net", "common/state"],
    "common/h2": ["common/base", "common/net", "common/tls"],
    "common/hbone": ["common/base", "common/net", "common/state", "common/tls", "common/h2"],
    "common/http": ["common/base"],
    "common/http1": ["common/base", "common/http"],
    "common/ca": ["common/base", "common/net", "common/state", "common/tls", "proto"],
    "common/config": ["common/base", "common/net", "common/state"],
    "common/admin": ["common/base", "common/net", "common/metrics"],
    "proto": [],
    "ztunnel": ["common/*", "proto"],
    "waypoint": ["common/*", "proto"],
}
# Third-party headers that have one home.
HOMES = {
    r"openssl/": ["common/tls", "common/ca"],
    r"nghttp2/": ["common/h2"],
    r"(google/protobuf|grpcpp)/": ["common/ca", "common/xds", "proto", "ztunnel/inpod"],
    r"boost/(asio|beast)": ["common/admin"],
    r"yaml-cpp/": ["waypoint"],
    r"yaml\.h$": ["common/config"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def home_of(path: str) -> str:
    """The most specific folder of the table that holds `path`."""
    return max((f for f in MAY_INCLUDE if path.startswith(f + "/")), key=len, default="")


def may_include(folder: str, target: str) -> bool:
    allowed = MAY_INCLUDE[folder]
    return target == folder or target in allowed or (target.startswith("common/") and "common/*" in allowed)


def problems() -> list[str]:
    found = []
    for top in ("common", "ztunnel", "waypoint"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            name = path.relative_to(ROOT).as_posix()
            folder = home_of(name)
            if not folder:
                found.append(f"{name}: its folder is not in the table of {pathlib.Path(__file__).name}")
                continue
            for kind, header in INCLUDE.findall(path.read_text()):
                if kind == '"':
                    target = home_of(header)
                    if not target:
                        found.append(f'{name}: "{header}" is not a full path of a known folder')
                    elif not may_include(folder, target):
                        found.append(f"{name}: {folder} may not include {header}")
                else:
                    for pattern, homes in HOMES.items():
                        if re.match(pattern, header) and not any(name.startswith(h + "/") for h in homes):
                            found.append(f"{name}: <{header}> belongs behind {', '.join(homes)}")
    return found


def test_include_direction() -> None:
    assert problems() == []


if __name__ == "__main__":
    for problem in problems():
        print(problem)
    sys.exit(bool(problems()))
