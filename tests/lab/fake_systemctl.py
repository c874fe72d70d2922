#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for systemctl on lab hosts, which have no systemd: start and stop of one unit, web.service, a small HTTP server
that is really there. Each call is noted in /var/log/systemctl.log with CLOCK_BOOTTIME."""
import os
import signal
import socket
import subprocess
import sys
import time

PORT, PID_FILE = 8088, "/run/web.pid"


def listens():
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", PORT)) == 0


def wait(wanted):
    deadline = time.monotonic() + 10
    while listens() != wanted:
        if time.monotonic() > deadline:
            sys.exit("web.service: nothing has changed after 10 s")
        time.sleep(0.02)


def start():
    if listens():
        return
    server = subprocess.Popen(["/usr/bin/python3", "-m", "http.server", str(PORT), "--directory", "/usr/share/doc/postfix"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True)
    with open(PID_FILE, "w", encoding="ascii") as file:
        file.write(str(server.pid))
    wait(True)


def stop():
    try:
        with open(PID_FILE, encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return
    os.unlink(PID_FILE)
    wait(False)


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    with open("/var/log/systemctl.log", "a", encoding="ascii") as file:
        file.write(f"{time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000} {' '.join(words)}\n")
    if words[:1] == ["is-enabled"]:
        print("disabled" if words[1:] == ["web.service"] else "masked")
    elif words == ["start", "web.service"]:
        start()
    elif words == ["stop", "web.service"]:
        stop()
    else:
        sys.exit(f"systemctl: the lab knows no {' '.join(words)}")


if __name__ == "__main__":
    main()
