package pec

import (
	"context"
	"io"

	"github.com/protodaemon/protodaemon/cms"
)

// Walk takes a message apart, and nothing else; it returns how many parts there
// are.
func Walk(ctx context.Context, m io.ReaderAt, size int64) int {
	r := &reader{ctx: ctx, limits: DefaultLimits, warn: func(string, string) {}}
	return count(r.walk(&source{src: m, size: int(size)}).root)
}

func count(p *part) int {
	n := 1
	for _, c := range p.children {
		n += count(c)
	}
	if p.message != nil {
		n += count(p.message)
	}
	return n
}

// CheckCMS verifies the values of a CMS signature over content, without trust.
func CheckCMS(ber, content []byte) SignatureStatus {
	sd, err := cms.Parse(ber)
	if err != nil {
		return failed(err).status
	}
	digest := cms.NewDigester(sd.Digests()...)
	digest.Write(content)
	return check(sd, digest).status
}
