"""What people and their tools see of a running gateway: the web page, `/metrics`, `/healthz`, `/readyz`, sd_notify.

NiceGUI is imported only by `page` and `server`; everything else here works without the `console` extra.
"""
