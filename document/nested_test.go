package document

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// allFiles are the files in a file, at all depths.
func allFiles(files []File) []File {
	var all []File
	for _, f := range files {
		all = append(append(all, f), allFiles(f.Files)...)
	}
	return all
}

// What offices send is found wherever it lies: an invoice that is signed and in
// an archive, an archive in winmail.dat, a segnatura beside its document.
func TestRecordsInsideOtherFiles(t *testing.T) {
	ca := newAuthority(t)
	signed := ca.signer(t, newKey(t), nil).cades(t, []byte(file(t, "testdata/fattura/IT00000000998_00001.xml")))
	archive := rawZip(packed("fatture/IT00000000998_00001.xml.p7m", signed),
		packed("IT00000000998_00001_MT_001.xml", []byte(file(t, "testdata/fattura/IT00000000998_00001_MT_001.xml"))))
	mail := newStream().
		attach("", []byte(archive), wideValue(propAttachLongName, "fatture.zip")).
		attach("Segnatura.xml", []byte(file(t, "testdata/segnatura/v3.xml"))).
		attach("", nil, value(propAttachData, typeObject, slices.Concat(embeddedMessage, newStream().attach("invito.ics", []byte(event("SUMMARY:Riunione"))).Bytes())))
	facts := inspect(t, input("winmail.dat", mail.String()), Options{Anchors: ca.pool})
	var got []string
	for _, f := range allFiles(facts.Files) {
		said := ""
		switch {
		case f.Record != nil:
			said = f.Record.Kind + " " + f.Record.Type
		case f.Event != nil:
			said = f.Event.Summary
		case len(f.Signatures) > 0:
			said = fmt.Sprintf("%s %v", f.Signatures[0].Signer, f.Signatures[0].Fits)
		}
		if len(f.Warnings) > 0 {
			said += fmt.Sprint(f.Warnings)
		}
		got = append(got, strings.TrimRight(fmt.Sprintf("%s %s/%s %s %s", f.Path, f.Folder, f.Name, f.Format, said), " "))
	}
	want := []string{
		"1 /fatture.zip zip",
		"1~1 fatture/IT00000000998_00001.xml.p7m p7m NERI ELENA true",
		"1~1~1 /IT00000000998_00001.xml xml fattura TD01",
		"1~2 /IT00000000998_00001_MT_001.xml xml notifica-sdi MT",
		"2 /Segnatura.xml xml segnatura",
		"3 /allegato-3 tnef",
		"3~1 /invito.ics ics Riunione",
	}
	if !slices.Equal(got, want) || len(facts.Warnings) > 0 {
		t.Errorf("%s\n%v", strings.Join(got, "\n"), facts.Warnings)
	}
}

// An archive of archives of archives costs no more than its bounds.
func TestArchivesOfArchives(t *testing.T) {
	level := rawZip(packed("0.bin", bytes.Repeat([]byte("bomba di carta "), 60_000)))
	for range 8 {
		var entries []rawEntry
		for i := range 16 {
			entries = append(entries, packed(fmt.Sprintf("lib %d.zip", i), []byte(level)))
		}
		level = rawZip(entries...)
	}
	limits := Limits{Inflated: 4 << 20}
	facts := Inspect(context.Background(), input("42.zip", level), Options{Limits: limits})
	all := allFiles(facts.Files)
	unpacked, told := int64(0), []string(nil)
	for _, f := range all {
		if f.SHA256 != "" {
			unpacked += f.Size
		}
		told = append(told, codes(f.Warnings)...)
	}
	if len(all) > DefaultLimits.Files || unpacked > limits.Inflated || strings.Count(all[len(all)-1].Path, "~") >= DefaultLimits.Depth {
		t.Errorf("%d files, %d bytes unpacked", len(all), unpacked)
	}
	if !slices.Contains(told, NotUnpacked) && !slices.Contains(told, TooMany) {
		t.Errorf("%d files, and no bound is told: %v", len(all), told)
	}
	if !slices.Contains(told, TooDeep) {
		t.Error("files too deep are not told")
	}
}

// A file that lies is told as such, its neighbours are read.
func TestLyingArchive(t *testing.T) {
	lies := packed("bugia.xml", bytes.Repeat([]byte("x"), 500))
	lies.size = 100
	other := packed("altra.xml", []byte("<a/>"))
	other.crc++
	locked := packed("chiuso.xml", []byte("<a/>"))
	locked.flags = 1
	facts := inspect(t, input("a.zip", rawZip(lies, other, locked, packed("vera.xml", []byte("<a/>")))), Options{})
	want := map[string]string{"bugia.xml": SizeDiffers, "altra.xml": Unreadable, "chiuso.xml": Encrypted, "vera.xml": ""}
	for _, f := range facts.Files {
		told := strings.Join(codes(f.Warnings), " ")
		if told != want[f.Name] || (told == "") != (f.SHA256 != "") {
			t.Errorf("%s: %q %v", f.Name, f.SHA256, f.Warnings)
		}
	}
	if len(facts.Files) != len(want) || !slices.Equal(codes(facts.Warnings), []string{Encrypted}) {
		t.Errorf("%d files, %v", len(facts.Files), facts.Warnings)
	}
}
