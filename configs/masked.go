package configs

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Masked returns the configuration in force as YAML. It shows the names of
// secret files and no secret: there is no field for one, and a URL with a
// password in it is refused.
func (c *Config) Masked() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return b.Bytes(), enc.Close()
}
