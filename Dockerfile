# The gateway as an image: `docker build -t feedback-gateway .`
# It runs as nobody in particular (uid 10001), keeps its data in /data, and reads /etc/gateway/gateway.yaml.

FROM python:3.13-slim AS build
COPY pyproject.toml README.md LICENSE /src/
COPY gateway /src/gateway
RUN python -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check "/src[otel,postgres]"

FROM python:3.13-slim
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin gateway \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/gateway /opt/gateway
COPY deploy/gateway.yaml /etc/gateway/gateway.yaml
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8787/healthz', timeout=4)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "-c", "/etc/gateway/gateway.yaml"]
