package demo

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/protodaemon/protodaemon/cms"
)

// What closing a day needs: a signing certificate in a PKCS#12 file, a time
// stamping authority, and a folder that stands for conservation. All of it is
// made here and says so in its names.

// stampPolicy lies in the arc that is kept for examples.
var stampPolicy = asn1.ObjectIdentifier{2, 999, 1}

// SigningCAFile is the PEM file with the authority over the signing certificate
// and the time stamping authority.
func (w *World) SigningCAFile() string { return w.file("signing-ca.pem") }

// ConservationDir is the folder into which packages are delivered; receipts are
// laid into «ricevute» below it.
func (w *World) ConservationDir() string { return w.file("conservazione") }

// openClosings makes what is missing of it.
func (w *World) openClosings() error {
	ca, err := openAuthority(w.SigningCAFile(), w.file("signing-ca.key"))
	if err != nil {
		return fmt.Errorf("opening the demonstration's signing authority: %w", err)
	}
	if err := w.makeSigner(ca); err != nil {
		return fmt.Errorf("making the demonstration's signing certificate: %w", err)
	}
	if w.Stamps, err = w.openStamps(ca); err != nil {
		return fmt.Errorf("opening the demonstration's time stamping authority: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(w.ConservationDir(), "ricevute"), 0o700); err != nil {
		return fmt.Errorf("making the folder for conservation: %w", err)
	}
	if err := writeFile(filepath.Join(w.ConservationDir(), "LEGGIMI.txt"), []byte(conservationNote)); err != nil {
		return fmt.Errorf("writing into the folder for conservation: %w", err)
	}
	return nil
}

const conservationNote = `Solo per prova: qui arrivano i pacchetti di versamento (PdV) delle chiusure,
come in un vero sistema di conservazione. Nessuno risponde da solo: finché non
c'è un rapporto di versamento, il pannello dice «consegnato, rapporto di
versamento in attesa».

Per rispondere, mettere nella cartella "ricevute" un file come questo, con il
nome del pacchetto senza .zip:

<RapportoDiVersamento>
  <IdentificativoPacchetto>PdV-…</IdentificativoPacchetto>
  <Esito>accettato</Esito>
</RapportoDiVersamento>

Con <Esito>rifiutato</Esito> e un <Motivo> si vede il rifiuto.
`

// makeSigner makes the PKCS#12 file once, under a password of the world's.
func (w *World) makeSigner(ca *authority) error {
	file := w.file("firma.p12")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pair, err := ca.certify(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "Elena Neri (prova)", Organization: []string{"Ordine degli Avvocati di Esempio"}, Country: []string{"IT"}},
		NotAfter: time.Now().AddDate(3, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
	})
	if err != nil {
		return err
	}
	password := secret()
	p12, err := pkcs12.Modern.Encode(pair.PrivateKey, pair.Leaf, []*x509.Certificate{ca.cert}, password)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(w.file("secret-firma"), []byte(password)), writeFile(file, p12))
}

// certify is sign, as a pair in memory.
func (a *authority) certify(template *x509.Certificate) (tls.Certificate, error) {
	cert, key, err := sign(template, a)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// openStamps reads the authority's certificate and key, or makes them.
func (w *World) openStamps(ca *authority) (*Stamps, error) {
	certFile, keyFile := w.file("tsa.pem"), w.file("tsa.key")
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}) // timeStamping
		if err != nil {
			return nil, err
		}
		cert, key, err := sign(&x509.Certificate{
			Subject:         pkix.Name{CommonName: "Marca temporale di prova", Organization: []string{"Solo per prova"}, Country: []string{"IT"}},
			NotAfter:        time.Now().AddDate(9, 0, 0),
			KeyUsage:        x509.KeyUsageDigitalSignature,
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
		}, ca)
		if err = errors.Join(err, writeFile(certFile, cert), writeFile(keyFile, key)); err != nil {
			return nil, err
		}
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &Stamps{cms.Responder{Key: pair.PrivateKey.(crypto.Signer), Chain: []*x509.Certificate{pair.Leaf, ca.cert}, Policy: stampPolicy}}, nil
}

// Stamps is the demonstration's time stamping authority, over HTTP (RFC 3161
// section 3.4). Its clock is this machine's and it keeps no records.
type Stamps struct{ responder cms.Responder }

// The bounds of a request for a stamp.
const (
	maxStampRequest = 16 << 10
	stampWait       = 10 * time.Second
)

// Serve answers on l until ctx ends.
func (s *Stamps) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadTimeout: stampWait, WriteTimeout: stampWait}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving time stamps: %w", err)
	case <-ctx.Done():
	}
	err := server.Close()
	<-ended
	return err
}

func (s *Stamps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST a time stamp request", http.StatusMethodNotAllowed)
		return
	}
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxStampRequest))
	if err != nil {
		http.Error(w, "the request could not be read", http.StatusBadRequest)
		return
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err == nil {
		request, err = s.responder.Respond(request, serial, time.Now())
	}
	if err != nil {
		http.Error(w, "no stamp could be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	_, _ = w.Write(request)
}
