#!/usr/bin/env bash
# Builds the image for every platform, with an SBOM and provenance, and pushes it; prints its digest.
#
#   tools/release_image.sh IMAGE VERSION REVISION
#
# The base images are resolved to their digests here, and the provenance records these: what was built can be built again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
image=$1 version=$2 revision=$3

bases=()
for name in PYTHON_IMAGE GO_IMAGE; do
	base=$(sed -n "s/^ARG $name=//p" Dockerfile)
	digest=$(docker buildx imagetools inspect "$base" --format '{{.Manifest.Digest}}')
	case $digest in
	sha256:*) ;;
	*) echo "error: the registry gives no digest of $base" >&2; exit 1 ;;
	esac
	echo "$name: $base@$digest" >&2
	bases+=(--build-arg "$name=$base@$digest")
done

metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
	"${bases[@]}" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
	--tag "$image:$version" --metadata-file "$metadata" --push . >&2
python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$metadata"
