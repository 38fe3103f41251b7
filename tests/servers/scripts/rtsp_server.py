"""Serve an H.264 or H.265 file (MP4) over RTSP at /camera, with GStreamer. Run by the system's python3, which has `gi`.

Prints `ready PORT` when it listens and `client` for each connection.
"""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - gi wants the versions first

ROLE = "viewer"


def protect(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    """Ask for digest authentication, as cameras do."""
    permissions = GstRtspServer.RTSPPermissions()
    for what in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(ROLE, what, True)
    factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--port", default="0")
    parser.add_argument("--codec", choices=("h264", "h265"), default="h264")
    parser.add_argument("--user")
    parser.add_argument("--password")
    args = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    factory = GstRtspServer.RTSPMediaFactory()
    payload = f"{args.codec}parse ! rtp{args.codec}pay name=pay0 pt=96"
    factory.set_launch(f'( filesrc location="{args.file}" ! qtdemux ! {payload} )')
    if args.user:
        protect(server, factory, args.user, args.password)
    server.get_mount_points().add_factory("/camera", factory)
    server.connect("client-connected", lambda *_: print("client", flush=True))
    if not server.attach(None):
        raise SystemExit("cannot listen")
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
