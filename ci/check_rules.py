"""Rules that ci/check-layers and ci/check-headers share: which files exist, and how C++ text is read."""

import os
import re
import subprocess

CODE = (".h", ".cc", ".c")
SCRIPTS = (".py", ".sh", ".cmake", ".js", ".mjs", ".css", ".html")


def files_of(root):
    """Paths of the repository's files relative to root: what git knows and has not been told to ignore."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [os.path.relpath(os.path.join(folder, name), root)
                 for folder, _, found in os.walk(root) for name in found]
    return sorted(name for name in set(names) if os.path.isfile(os.path.join(root, name)))


def is_script(root, name):
    """A program text that no compiler sees: by its ending, or by its first line."""
    if name.endswith(SCRIPTS) or os.path.basename(name) in ("CMakeLists.txt", "Dockerfile"):
        return True
    with open(os.path.join(root, name), "rb") as file:
        return file.read(2) == b"#!"


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


_TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]{0,16})\(.*?\)(?P=tag)"'
                     r'|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments_and_strings(text):
    """The same text, same line numbers, with comments blanked and string contents emptied."""
    def blank(match):
        token = match.group(0)
        lines = "\n" * token.count("\n")
        return lines if token.startswith("/") else '""' + lines
    return _TOKENS.sub(blank, text)
