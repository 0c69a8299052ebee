#!/usr/bin/env bash
# Deploys the definitions in functions/ to Google Cloud:
#
#   ./deploy.sh --project my-project --region europe-west1
#   ./deploy.sh --env pr-42 --dry-run
#
# It looks that the tools are there and leaves everything else to `sluice deploy`, whose options it takes: see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
  printf 'deploy.sh: %s\n' "$1" >&2
  exit 1
}

# Whether version $1 is $2 or later.
at_least() {
  [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]
}

command -v node >/dev/null || fail 'node is missing: install Node 20.19 or later, https://nodejs.org'
node_version=$(node --version)
at_least "${node_version#v}" 20.19 || fail "node ${node_version#v} is too old: install 20.19 or later, https://nodejs.org"
command -v npm >/dev/null || fail 'npm is missing: it comes with Node, https://nodejs.org'
if [[ ! -d node_modules ]]; then
  npm ci --no-audit --no-fund || fail 'the packages could not be installed: look at what npm says above'
fi

command -v gcloud >/dev/null || fail 'gcloud is missing: install the Google Cloud CLI, https://cloud.google.com/sdk/docs/install'
gcloud_says=$(gcloud version 2>&1) || {
  code=$?
  printf '%s\n' "$gcloud_says" >&2
  fail "gcloud does not work: \`gcloud version\` ended with $code; look at what it says above"
}
gcloud_version=$(sed -n 's/^Google Cloud SDK //p' <<<"$gcloud_says")
at_least "$gcloud_version" 500.0.0 || fail "gcloud ${gcloud_version:-of an unknown version} is too old: run gcloud components update"
command -v bq >/dev/null || fail 'bq is missing: run gcloud components install bq'

# To sluice, --project is the folder of the definitions.
arguments=(deploy)
for argument in "$@"; do
  case $argument in
    --project) arguments+=(--gcp-project) ;;
    --project=*) arguments+=("--gcp-project=${argument#--project=}") ;;
    *) arguments+=("$argument") ;;
  esac
done

# The packages' own Node stands first, where they have one.
PATH=$PWD/node_modules/.bin:$PATH
if [[ -f lib/cli/main.ts ]]; then
  exec node lib/cli/main.ts "${arguments[@]}"
fi
command -v sluice >/dev/null || fail 'sluice is not installed: run npm ci'
exec sluice "${arguments[@]}"
