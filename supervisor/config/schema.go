package config

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Schema gives the JSON Schema (draft 7, which editors of TOML understand) of
// mesh.toml. It is made from the same table as the decoder.
func Schema() []byte {
	s := maps.Clone(object(meshTable()).shape)
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "mesh.toml"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("the table of keys holds what JSON cannot say: %v", err)) // a test would see it first
	}
	return append(text, '\n')
}
