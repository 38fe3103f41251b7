# A gateway in a container:
#   docker build -t zhiwang .
#   docker run -v ./gateway.yaml:/etc/zhiwang/gateway.yaml:ro -v zhiwang-state:/var/lib/zhiwang --network host zhiwang
#   docker run --network host zhiwang demo
# Without the host's network the page must listen beyond loopback, and then wants a token: in gateway.yaml
#   http: {listen: "0.0.0.0:8080", token: {file: /run/secrets/zhiwang-token}}
#
# What it needs besides Python's wheels is inside them (FFmpeg in av, ONNX Runtime in onnxruntime): no apt here.
FROM python:3.11-slim-bookworm

COPY requirements/demo.txt /opt/zhiwang-src/requirements/demo.txt
RUN python3 -m venv /opt/zhiwang \
 && /opt/zhiwang/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet \
      --require-hashes --only-binary :all: -r /opt/zhiwang-src/requirements/demo.txt

COPY pyproject.toml README.md LICENSE /opt/zhiwang-src/
COPY gateway /opt/zhiwang-src/gateway
COPY models /opt/zhiwang-src/models
COPY configs /opt/zhiwang-src/configs
RUN /opt/zhiwang/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet \
      --no-deps --no-build-isolation /opt/zhiwang-src \
 && rm -rf /opt/zhiwang-src \
 && ln -s /opt/zhiwang/bin/zhiwang /usr/local/bin/zhiwang

RUN useradd --uid 10017 --home-dir /var/lib/zhiwang --create-home zhiwang
USER zhiwang
# State (outbox, history, alerts not delivered yet) and fetched models: without this volume a new container forgets them.
ENV STATE_DIRECTORY=/var/lib/zhiwang XDG_CACHE_HOME=/var/lib/zhiwang/cache PYTHONUNBUFFERED=1
VOLUME /var/lib/zhiwang
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["/opt/zhiwang/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["zhiwang"]
CMD ["run", "/etc/zhiwang/gateway.yaml"]
