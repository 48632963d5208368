package archive_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

// blob is the file in which the store keeps a digest's bytes.
func (h *hall) blob(d store.Digest) string {
	h.t.Helper()
	found := ""
	err := filepath.WalkDir(filepath.Join(h.dir, "data"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == d.String() {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		h.t.Fatalf("there is no blob %s: %v", d, err)
	}
	return found
}

// verified is what the command verify prints: what the archive finds, and all
// that is found.
func (h *hall) verified() (archives, all []register.Problem) {
	h.t.Helper()
	v, err := h.office.Verify(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	archives, err = h.archive.Verify(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return archives, append(v.Problems, archives...)
}

// finds looks for a problem of a code whose words say something.
func finds(problems []register.Problem, code, says string) bool {
	for _, p := range problems {
		if p.Code == code && strings.Contains(p.Detail, says) {
			return true
		}
	}
	return false
}

// Every file of a closing that was changed or taken away on the disk is found;
// that another file was derived or signed from is found by the archive too.
func TestVerifyFindsFilesThatWereTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		c := h.closeDays("")[0]
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		c, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, []byte(positive(h.closing(c.ID))))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Files) != 10 {
			t.Fatalf("there are %d files", len(c.Files))
		}
		h.sound()
		code := map[string]string{
			register.FileXML:       "closing-file-differs", // the PDF has it inside
			register.FilePDFSigned: "unreadable", register.FilePDFStamped: "unreadable", register.FileXMLSigned: "unreadable",
			register.FileImprintsSigned: "unreadable", register.FileImprintsStamped: "unreadable",
		}
		for _, f := range c.Files {
			path := h.blob(f.SHA256)
			sound := must(os.ReadFile(path))
			for name, changed := range map[string][]byte{
				"a bit": flipped(sound, len(sound)/2), "longer": append(bytes.Clone(sound), '\n'), "empty": {},
			} {
				replace(t, path, changed)
				archives, all := h.verified()
				if !finds(all, "blob-damaged", f.SHA256.String()) {
					t.Errorf("%s, %s: found is %+v", f.Name, name, all)
				}
				if want := code[f.Role]; want != "" && !finds(archives, want, c.ID) {
					t.Errorf("%s, %s: the archive finds %+v", f.Name, name, archives)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			archives, all := h.verified()
			if !finds(all, "blob-missing", f.SHA256.String()) || code[f.Role] != "" && !finds(archives, "unreadable", c.ID) {
				t.Errorf("%s is missing: found is %+v", f.Name, all)
			}
			replace(t, path, sound)
		}
		h.sound()
	})
}

func flipped(b []byte, n int) []byte {
	b = bytes.Clone(b)
	b[n] ^= 1
	return b
}

// replace writes a blob, which nobody may write.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, content)
}

// kept keeps bytes as a file of a closing.
func (h *hall) kept(name, role string, b []byte) register.ClosingFile {
	h.t.Helper()
	w, err := h.office.CreateBlob(h.t.Context(), org)
	if err != nil {
		h.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		h.t.Fatal(err)
	}
	digest, size, err := w.Commit(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return register.ClosingFile{Name: name, MediaType: "application/pkcs7-mime", Size: size, SHA256: digest, Role: role}
}

// A signature that holds, but round something else, and a stamp that holds, but
// over something else, are found: records may name any file.
func TestVerifyFindsSignaturesOfSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		h.enter("Un'altra")
		until(at(1, 5, 9))
		made := h.closeDays("")
		pdf, imprints, xml := h.read(made[0], register.FilePDF), h.read(made[0], register.FileImprints), h.read(made[0], register.FileXML)
		other := h.read(made[1], register.FilePDF)
		files := signatures(t,
			sign.Document{Format: sign.CAdES, Content: other}, sign.Document{Format: sign.CAdES, Content: imprints},
			sign.Document{Format: sign.XAdES, Content: h.read(made[1], register.FileXML)}, sign.Document{Format: sign.CAdES, Content: pdf})
		authorities := []sign.Authority{must(h.conf.Authorities[0].Open())}
		right, _, err := sign.AddStamp(context.Background(), authorities, files[3])
		if err != nil {
			t.Fatal(err)
		}
		digest := store.Sum([]byte("something else"))
		token := must(sign.Stamp(context.Background(), authorities, digest[:]))
		wrong := must(cms.AddToken(files[1], token.Token))
		for _, test := range []struct {
			role, says string
			content    []byte
		}{
			{register.FilePDFSigned, "signature round something else than " + made[0].Name + ".pdf", files[0]},
			{register.FileImprintsSigned, "", files[1]},
			{register.FileXMLSigned, "signature round something else than " + made[0].Name + ".xml", files[2]},
			{register.FilePDFStamped, "", right},
			{register.FilePDFStamped, "no time stamp", files[3]},
			{register.FileImprintsStamped, "the time stamp", wrong},
			{register.FileImprintsSigned, made[0].Name, imprints},
			{register.FileXMLSigned, "no signature", xml},
			{register.FilePDFSigned, made[0].Name, flipped(files[3], len(files[3])-1)},
			{register.FilePDFSigned, "", files[3]},
		} {
			name := made[0].Name + "-" + store.Sum(test.content).String()[:8] + "-" + test.role
			_, err := h.office.AdvanceClosing(t.Context(), org, book, made[0].ID, register.Advance{
				From: register.ClosingClosed, Files: []register.ClosingFile{h.kept(name, test.role, test.content)},
			})
			if err != nil {
				t.Fatal(err)
			}
			archives, _ := h.verified()
			if found := finds(archives, "closing-signature-invalid", name); found != (test.says != "") || !finds(archives, "closing-signature-invalid", test.says) && test.says != "" {
				t.Errorf("%s: the archive finds %+v", name, archives)
			}
		}
	})
}

// The files of the step closed are derived again from the records: others that
// a record names instead are found.
func TestVerifyDerivesTheFilesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		c := h.closeDays("")[0]
		for _, role := range []string{register.FileXML, register.FilePDF, register.FileImprints} {
			plain, _ := c.File(role)
			changed := bytes.Replace(h.read(c, role), []byte("1999-01-01"), []byte("1999-01-02"), 1)
			if role != register.FileXML {
				changed = flipped(h.read(c, role), 100)
			}
			_, err := h.office.AdvanceClosing(t.Context(), org, book, c.ID, register.Advance{
				From: register.ClosingClosed, Files: []register.ClosingFile{h.kept("x-"+plain.Name, role, changed)},
			})
			if err != nil {
				t.Fatal(err)
			}
			archives, _ := h.verified()
			if !finds(archives, "closing-file-differs", plain.Name+" is not what its records give") {
				t.Errorf("%s: the archive finds %+v", role, archives)
			}
		}
	})
}

// A state without what proves it is found: above all one that is accepted and
// has no receipt.
func TestVerifyFindsStatesWithoutProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "all"})
		until(at(1, 4, 9))
		made := h.closeDays("")
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		until(at(1, 5, 9))
		made = append(made, h.closeDays("")...)
		h.sound()
		receipt := func(n int, text string) []register.ClosingFile {
			return []register.ClosingFile{h.kept("RdV-"+made[n].Name+".xml", register.FileReceipt, []byte(text))}
		}
		c := h.closing(made[2].ID)
		for n, test := range []struct {
			from, to register.ClosingState
			files    []register.ClosingFile
			says     string
		}{
			{register.ClosingDelivered, register.ClosingAccepted, nil, "it was accepted and has no file receipt"},
			{register.ClosingDelivered, register.ClosingAccepted, receipt(1, positive(c)), "it is accepted, and no receipt of it says so"},
			{register.ClosingDelivered, register.ClosingAccepted, receipt(2, strings.Replace(positive(c), "accettato", "respinto", 1)), "it is accepted, and no receipt of it says so"},
			{register.ClosingClosed, register.ClosingStamped, nil, "it was stamped and has no file register-stamped"},
		} {
			if _, err := h.office.AdvanceClosing(t.Context(), org, book, made[n].ID, register.Advance{From: test.from, To: test.to, Files: test.files}); err != nil {
				t.Fatal(err)
			}
			if archives, _ := h.verified(); !finds(archives, "closing-state-unproved", made[n].ID+": "+test.says) {
				t.Errorf("the archive finds %+v, want %s", archives, test.says)
			}
		}
	})
}

// A stamp outlives the certificate of the signature it stands on.
func TestVerifyYearsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		h.closeDays("")
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		until(time.Date(2045, 1, 1, 0, 0, 0, 0, rome)) // all certificates have expired
		h.sound()
	})
}
