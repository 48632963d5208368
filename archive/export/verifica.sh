#!/bin/sh
# Verifica i registri giornalieri di un anno con openssl, xmllint e sha256sum.
# Uso: sh verifica.sh [--ca FILE] [--tsa-ca FILE]
set -u
ca= tsa=
while [ $# -gt 0 ]; do
  case $1 in
    --ca) ca=$(realpath "$2"); shift 2 ;;
    --tsa-ca) tsa=$(realpath "$2"); shift 2 ;;
    *) echo "uso: sh verifica.sh [--ca FILE] [--tsa-ca FILE]" >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")" || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
bad=0 days=0 signed=0 stamped=0 entries=0 tests=0
fail() { echo "NON VALIDO: $*" >&2; bad=$((bad + 1)); }

# Con i certificati delle autorità ogni chiusura deve essere firmata e marcata;
# senza, vale ogni certificato contenuto: si prova l'integrità, non chi firma.
wanted=$ca wantedtsa=$tsa
partial=
[ -n "$ca" ] || { ca=$PWD/certificati/firma.pem; partial=-partial_chain; }
tsapartial=
[ -n "$tsa" ] || { tsa=$PWD/certificati/marca.pem; tsapartial=-partial_chain; }

xpath() { xmllint --nonet --xpath "string($2)" "$1"; }
sum() { sha256sum <"$1" | cut -d' ' -f1; }

# Dove stanno, nella firma $1, la marca temporale e il valore firmato.
places() {
  openssl asn1parse -inform DER -in "$1" 2>/dev/null | awk '
    { line = $0; sub(/^ */, "", line); split(line, p, ":"); offset = p[1]
      hl = line; sub(/.*hl= */, "", hl); sub(/ .*/, "", hl)
      l = line; sub(/.* l= */, "", l); sub(/ .*/, "", l) }
    /prim: OCTET STRING/ { value = offset " " hl " " l }
    /cons: cont \[ 1 \]/ { last = value }
    /id-smime-aa-timeStampToken/ { found = 1 }
    found && /cons: SEQUENCE/ { print offset, last; exit }'
}

# Verifica la marca $1 su un'impronta $2; scrive l'ora in secondi.
stamp() {
  openssl ts -reply -in "$1" -token_in -text 2>/dev/null | sed -n 's/^Time stamp: //p' >"$work/time"
  at=$(date -u -d "$(cat "$work/time")" +%s) || return 1
  openssl ts -verify -digest "$2" -in "$1" -token_in -CAfile "$tsa" -attime "$at" $tsapartial >"$work/ts" 2>&1 || { cat "$work/ts" >&2; return 1; }
  echo "$at"
}

# Verifica la firma $1, che deve contenere il file $2.
signature() {
  set -- "$1" "$2" $(places "$1")
  if [ $# -eq 6 ]; then
    openssl asn1parse -inform DER -in "$1" -strparse "$3" -noout -out "$work/token" 2>/dev/null || { fail "$1: la marca non si legge"; return; }
    digest=$(tail -c +$(($4 + $5 + 1)) "$1" | head -c "$6" | sha256sum | cut -d' ' -f1)
    at=$(stamp "$work/token" "$digest") || { fail "$1: la marca temporale"; return; }
    stamped=$((stamped + 1))
    # Il certificato doveva valere all'ora della marca.
    time="-attime $at"
  else
    case $1 in *-t.pdf.p7m | *-impronte-t.xml.p7m) fail "$1: senza marca temporale"; return ;; esac
    # Senza marca l'ora la dice solo chi firma: conta la copia marcata.
    time=-no_check_time
  fi
  openssl cms -verify -cades -binary -inform DER -in "$1" -CAfile "$ca" $partial -purpose any $time -out "$work/content" >"$work/cms" 2>&1 ||
    { cat "$work/cms" >&2; fail "$1: la firma"; return; }
  cmp -s "$work/content" "$2" || fail "$1 contiene un altro file"
  signed=$((signed + 1))
}

sha256sum -c --quiet SHA256SUMS >&2 || fail "un file è cambiato o manca"
previous= last=0
while read -r name; do
  d=giorni/$name
  days=$((days + 1))
  for x in "$name" "$name-impronte"; do
    xmllint --nonet --noout --schema registro-giornaliero-1.xsd "$d/$x.xml" 2>"$work/xsd" || { cat "$work/xsd" >&2; fail "$d/$x.xml non segue lo schema"; }
  done
  imprints=$d/$name-impronte.xml
  for n in 1 2; do
    f=$(xpath "$imprints" "(//*[local-name()='File'])[$n]/*[local-name()='Nome']")
    [ "$(sum "$d/$f")" = "$(xpath "$imprints" "(//*[local-name()='File'])[$n]/*[local-name()='Impronta']")" ] || fail "$d/$f: altra impronta"
  done
  said=$(xpath "$imprints" "//*[local-name()='ChiusuraPrecedente']/*[local-name()='Impronta']")
  if [ -n "$previous" ] && [ "$said" != "$(sum "$previous")" ]; then fail "$name non segue la chiusura precedente"; fi
  previous=$imprints
  count=$(xpath "$imprints" "//*[local-name()='NumeroRegistrazioni']")
  if [ "$count" -gt 0 ]; then
    first=$(xpath "$imprints" "//*[local-name()='PrimoNumero']" | sed 's/^0*//')
    [ "$first" -eq $((last + 1)) ] || fail "$name comincia dal n. $first e non dal n. $((last + 1))"
    last=$(xpath "$imprints" "//*[local-name()='UltimoNumero']" | sed 's/^0*//')
    [ $((last - first + 1)) -eq "$count" ] || fail "$name: fra il n. $first e il n. $last non ci sono $count registrazioni"
    entries=$((entries + count))
  fi
  [ "$(xpath "$imprints" "//*[local-name()='Prova']")" != true ] || tests=$((tests + 1))
  for p7m in "$name.pdf.p7m" "$name-impronte.xml.p7m"; do [ -z "$wanted" ] || [ -f "$d/$p7m" ] || fail "$name: manca la firma $p7m"; done
  for p7m in "$name-t.pdf.p7m" "$name-impronte-t.xml.p7m"; do [ -z "$wantedtsa" ] || [ -f "$d/$p7m" ] || fail "$name: manca la marca $p7m"; done
  for p7m in "$d/$name.pdf.p7m" "$d/$name-t.pdf.p7m"; do [ ! -f "$p7m" ] || signature "$p7m" "$d/$name.pdf"; done
  for p7m in "$d/$name-impronte.xml.p7m" "$d/$name-impronte-t.xml.p7m"; do [ ! -f "$p7m" ] || signature "$p7m" "$imprints"; done
  for list in "$d"/rinnovo-*.txt; do
    [ -f "$list" ] || continue
    grep -F "  $name/" "$list" | (cd giorni && sha256sum -c --quiet) >&2 || fail "$list: un file è cambiato"
    stamp "${list%.txt}.tst" "$(sum "$list")" >/dev/null || fail "$list: la marca del rinnovo"
  done
done <giorni.txt
[ $days -gt 0 ] || fail "non c'è nessuna chiusura"
echo "$days chiusure, $entries registrazioni, $signed firme, $stamped marche temporali: $([ $bad -eq 0 ] && echo "tutto valido" || echo "$bad cose non valide")"
[ $tests -eq 0 ] || echo "$tests chiusure sono di prova, senza valore legale."
[ -z "$partial" ] || echo "Senza --ca si prova l'integrità, non l'identità di chi ha firmato e marcato."
[ $bad -eq 0 ]
