#!/usr/bin/env bash
# Makes the certificates of the TLS tests: an authority, and a server of the host `localhost` alone.
# The key is public and protects nothing.
set -euo pipefail
cd "$(dirname "$0")"
openssl ecparam -genkey -name prime256v1 -noout -out authority.key
openssl req -x509 -new -key authority.key -days 36500 -subj "/CN=Tercet test authority" -out authority.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
openssl ecparam -genkey -name prime256v1 -noout -out server.key
openssl req -new -key server.key -subj "/CN=localhost" -out server.csr
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 36500 \
    -extfile <(printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth') -out server.pem
rm authority.key authority.srl server.csr
