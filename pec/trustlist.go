package pec

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/xmldsig"
)

// Trusted lists (ETSI TS 119 612 v2, Decision (EU) 2015/1505): who is or was a
// qualified trust service, for what and since when. An operator puts the list of
// the country there as a file, and the certificates of who signs it.

const (
	nsList      = "http://uri.etsi.org/02231/v2#"
	serviceType = "http://uri.etsi.org/TrstSvc/Svctype/"
	serviceInfo = "http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/"
	listOfLists = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists"
)

// The bounds of a list; the largest ones in use have some 10 MB and 1,500
// services.
const (
	listMax     = 24 << 20 // bytes
	servicesMax = 20_000
)

// serviceTypes are those that are looked at (TS 119 612 §5.5.1).
var serviceTypes = map[string]purpose{
	"CA/QC": persons, "TSA/QTST": stamps,
	"EDS/Q": services, "EDS/REM/Q": services, "EDS": services, "EDS/REM": services,
}

// inForce are the last words of the states in which a service is trusted: granted
// and, of services that are not qualified, recognised (§5.5.4); before 1 July
// 2016 supervised and accredited (annex J).
var inForce = []string{"granted", "recognisedatnationallevel", "setbynationallaw", "undersupervision", "supervisionincessation", "accredited"}

// service is an entry of a list with its history.
type service struct {
	certificates []*x509.Certificate
	periods      []period // latest first
}

// period is what holds from a time on; purpose is purposes when it is none that
// is looked at, or the service was not in force.
type period struct {
	from    time.Time
	purpose purpose
}

// serves tells what the service was at a time.
func (s *service) serves(p purpose, at time.Time) bool {
	for _, one := range s.periods {
		if !one.from.After(at) {
			return one.purpose == p
		}
	}
	return false
}

func (s *service) ever(p purpose) bool {
	return slices.ContainsFunc(s.periods, func(one period) bool { return one.purpose == p })
}

// trustedList is what is said of a list beside its services.
type trustedList struct {
	file, territory string
	closed          bool
	next            time.Time // NextUpdate
	unreadable      int       // certificates
}

func (l trustedList) warnings(now time.Time) []string {
	var out []string
	switch {
	case l.closed:
		out = append(out, fmt.Sprintf("%s: the trusted list is closed, there will be no newer one", l.file))
	case now.After(l.next):
		out = append(out, fmt.Sprintf("%s: the trusted list should have been replaced by %s; put the present one there", l.file, l.next.UTC().Format(time.DateOnly)))
	}
	if l.unreadable > 0 {
		out = append(out, fmt.Sprintf("%s: %d certificates in the trusted list cannot be read and are left out", l.file, l.unreadable))
	}
	return out
}

// textOf is the text of an element without the blanks round it.
func textOf(e *xmldsig.Element) string { return strings.TrimSpace(e.Text()) }

func isList(file string) bool { return strings.EqualFold(filepath.Ext(file), ".xml") }

// addList reads a list, if one of the signers signed it.
func (t *Trust) addList(file string, signers []*x509.Certificate) error {
	data, err := readFile(file, listMax)
	if err != nil {
		return err
	}
	root, err := openList(data, signers)
	if err != nil {
		return err
	}
	l := trustedList{file: file}
	scheme := root.Child(nsList, "SchemeInformation")
	if textOf(scheme.Child(nsList, "TSLType")) == listOfLists {
		return errors.New("it is the list of the lists, which names no services; put the list of the country there")
	}
	l.territory = textOf(scheme.Child(nsList, "SchemeTerritory"))
	if next := textOf(scheme.Find(nsList, "NextUpdate", "dateTime")); next == "" {
		l.closed = true
	} else if l.next, err = time.Parse(time.RFC3339Nano, next); err != nil {
		return errors.New("the trusted list does not say readably until when it holds (NextUpdate)")
	}
	for provider := range root.Child(nsList, "TrustServiceProviderList").Elements() {
		for e := range provider.Child(nsList, "TSPServices").Elements() {
			s, unreadable := readService(e)
			l.unreadable += unreadable
			if len(s.certificates) == 0 || !slices.ContainsFunc(s.periods, func(p period) bool { return p.purpose != purposes }) {
				continue
			}
			if len(t.listed) == servicesMax {
				return fmt.Errorf("the trusted lists have more than %d services", servicesMax)
			}
			t.listed = append(t.listed, s)
		}
	}
	t.lists = append(t.lists, l)
	return nil
}

// openList verifies a list: one signature that covers all of it, made with a
// certificate that is itself among the signers (they are exchanged out of band,
// TS 119 612 §5.7, not found by a chain).
func openList(data []byte, signers []*x509.Certificate) (*xmldsig.Element, error) {
	doc, err := xmldsig.Parse(data, xmldsig.Limits{Bytes: listMax})
	if err != nil {
		return nil, fmt.Errorf("the trusted list cannot be read: %w", err)
	}
	if !doc.Root.Is(nsList, "TrustServiceStatusList") {
		return nil, errors.New("it is no trusted list (TrustServiceStatusList of ETSI TS 119 612)")
	}
	signatures, err := doc.Verify()
	switch {
	case err != nil:
		return nil, fmt.Errorf("the trusted list: %w", err)
	case len(signatures) == 0:
		return nil, errors.New("the trusted list is not signed")
	case len(signatures) > 1:
		return nil, errors.New("the trusted list has more than one signature")
	case len(signers) == 0:
		return nil, errors.New("the trusted list cannot be believed: trust_list_signers names nobody who may sign it")
	}
	s := &signatures[0]
	switch {
	case errors.Is(s.Err, xmldsig.ErrMismatch):
		return nil, fmt.Errorf("the trusted list was changed after it was signed: %s", strings.Join(s.Problems, "; "))
	case !s.Fits:
		return nil, fmt.Errorf("the signature of the trusted list cannot be verified: %s", strings.Join(s.Problems, "; "))
	case !s.Covers(doc.Root):
		return nil, errors.New("the signature does not cover the whole trusted list")
	case s.Weak:
		return nil, errors.New("the signature of the trusted list rests on SHA-1")
	case !slices.ContainsFunc(signers, s.Certificate.Equal):
		return nil, fmt.Errorf("the trusted list was signed by %s, who is none of trust_list_signers", line(s.Certificate.Subject.String()))
	}
	issued, err := time.Parse(time.RFC3339Nano, textOf(doc.Root.Find(nsList, "SchemeInformation", "ListIssueDateTime")))
	if err != nil {
		return nil, errors.New("the trusted list does not say when it was issued (ListIssueDateTime)")
	}
	if c := s.Certificate; issued.Before(c.NotBefore) || issued.After(c.NotAfter) {
		return nil, fmt.Errorf("the certificate of %s was not valid when the trusted list was issued", line(c.Subject.String()))
	}
	return doc.Root, nil
}

// readService reads a TSPService: what it is now, and its history.
func readService(e *xmldsig.Element) (s service, unreadable int) {
	add := func(info *xmldsig.Element) {
		from, err := time.Parse(time.RFC3339Nano, textOf(info.Child(nsList, "StatusStartingTime")))
		if err != nil {
			return // without a time it says nothing
		}
		s.periods = append(s.periods, period{from, purposeOf(info)})
		for id := range info.Child(nsList, "ServiceDigitalIdentity").Elements() {
			certificate := id.Child(nsList, "X509Certificate")
			if certificate == nil {
				continue
			}
			c, err := listedCertificate(certificate.Text())
			switch {
			case err != nil:
				unreadable++
			case !slices.ContainsFunc(s.certificates, c.Equal):
				s.certificates = append(s.certificates, c)
			}
		}
	}
	add(e.Child(nsList, "ServiceInformation"))
	for instance := range e.Child(nsList, "ServiceHistory").Elements() {
		add(instance)
	}
	slices.SortStableFunc(s.periods, func(a, b period) int { return b.from.Compare(a.from) })
	return s, unreadable
}

func listedCertificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.AppendDecode(nil, bytes.Join(bytes.Fields([]byte(text)), nil))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// purposeOf tells what a service in this state is trusted for. A CA of qualified
// certificates may be one for web sites only (AdditionalServiceInformation, TS
// 119 612 §5.5.9.4).
func purposeOf(info *xmldsig.Element) purpose {
	status := strings.TrimRight(textOf(info.Child(nsList, "ServiceStatus")), "/")
	if !slices.Contains(inForce, strings.ToLower(status[strings.LastIndexByte(status, '/')+1:])) {
		return purposes
	}
	kind, ok := strings.CutPrefix(textOf(info.Child(nsList, "ServiceTypeIdentifier")), serviceType)
	p, known := serviceTypes[kind]
	if !ok || !known {
		return purposes
	}
	if p != persons {
		return p
	}
	limited, signs := false, false
	for extension := range info.Child(nsList, "ServiceInformationExtensions").Elements() {
		uri, of := strings.CutPrefix(textOf(extension.Find(nsList, "AdditionalServiceInformation", "URI")), serviceInfo)
		limited = limited || of && strings.HasPrefix(uri, "For")
		signs = signs || of && (uri == "ForeSignatures" || uri == "ForeSeals")
	}
	if limited && !signs {
		return purposes
	}
	return p
}
