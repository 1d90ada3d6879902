# driftd with what it calls: git, ssh, kustomize and helm. Build it with BuildKit, for one platform or for several:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.com/platform/driftd:0.1.0 --push .

ARG PYTHON_IMAGE=python:3.13.9-slim-bookworm
ARG GO_IMAGE=golang:1.26.8-bookworm


# kustomize and helm, from the Go modules that the tests build them from: go.mod names every version and go.sum every
# hash. They are compiled for the wanted platform on the one that builds, without emulating it.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS tools
ARG TARGETOS
ARG TARGETARCH
ARG HELM_VERSION=v4.3.1
ENV CGO_ENABLED=0 \
    GOFLAGS=-mod=readonly
WORKDIR /src/kustomize
COPY tests/controlplane/kustomize ./
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -ldflags="-s -w" -o /out/kustomize \
        sigs.k8s.io/kustomize/kustomize/v5
WORKDIR /src/helm
COPY tests/controlplane/helm ./
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath \
        -ldflags="-s -w -X helm.sh/helm/v4/internal/version.version=${HELM_VERSION}" -o /out/helm \
        helm.sh/helm/v4/cmd/helm


# driftd in a virtual environment: its dependencies by the hashes of the lock file, then the package itself.
FROM ${PYTHON_IMAGE} AS package
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/driftd \
    && python -m venv --without-pip /opt/build \
    && pip --python /opt/driftd install --require-hashes --only-binary :all: --requirement requirements.lock \
    && pip --python /opt/build install --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY docs/driftd.1 ./docs/
COPY driftd ./driftd
RUN /opt/build/bin/python -m hatchling build --target wheel \
    && pip --python /opt/driftd install --no-index --no-deps dist/driftd-*.whl


FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="driftd" \
      org.opencontainers.image.description="GitOps drift detection and reconciliation for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Debian's own packages have no pinned version: a superseded one leaves the archive, and these are the ones that want
# security updates most. tini ends what a killed git leaves behind. ssh refuses to run for a user without a name.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 driftd \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin driftd \
    && install -d --owner=10001 --group=10001 --mode=0750 /var/lib/driftd
COPY --from=tools /out/kustomize /out/helm /usr/local/bin/
COPY --from=package /opt/driftd /opt/driftd

# The root filesystem may be read-only: everything is written below /var/lib/driftd and /tmp.
ENV PATH=/opt/driftd/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    STATE_DIRECTORY=/var/lib/driftd \
    CACHE_DIRECTORY=/var/lib/driftd \
    DRIFTD_CONFIG=/etc/driftd/driftd.yaml
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["tini", "--", "driftd"]
CMD ["run"]
