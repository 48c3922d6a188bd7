# The service with its bundled models. Build from the repository's root: docker build -t anatomend .
#
# Plain pip brings the torch that runs on NVIDIA cards and on CPUs alike, several gigabytes large. For another build,
# name an index that has torch *and* torchvision of it, so that the two match:
#   docker build --build-arg PIP_EXTRA="--extra-index-url=https://…" -t anatomend .

FROM python:3.11-slim AS build
ARG PIP_EXTRA=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
WORKDIR /src
# The dependencies first: this layer stays as it is until pyproject.toml changes.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/venv/bin/pip install ${PIP_EXTRA} -r requirements.txt
COPY README.md LICENSE ./
COPY detectors detectors
COPY service service
RUN /opt/venv/bin/pip install --no-deps .

FROM python:3.11-slim
# What opencv's shared libraries ask for.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --no-create-home anatomend \
    && install -d -o anatomend /data
COPY --from=build /opt/venv /opt/venv
COPY LICENSE /opt/anatomend/
COPY models /opt/anatomend/models
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    ANATOMEND_MODELS_DIR=/opt/anatomend/models \
    ANATOMEND_DATA_DIR=/data \
    HF_HOME=/data/hub \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache
WORKDIR /data
VOLUME /data
USER anatomend
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=4)"]
CMD ["anatomend", "serve"]
