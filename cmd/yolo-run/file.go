package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/yolo-run/yolo-run/runner"
)

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// readConfig reads a configuration file, which may be a pipe.
func readConfig(name string) ([]byte, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("is larger than %s", runner.Bytes(maxConfig).Human())
	}
	return data, err
}

// readYAML sets every key of the file. It reads the nodes itself, so that a fault names its line and all faults are heard at once.
func (l *loader) readYAML(name string, data []byte) {
	root, err := parseYAML(data)
	if err != nil {
		l.faults = append(l.faults, &runner.UsageError{Option: "--config", Value: name, Err: err})
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d", name, key.Line)
		if err := l.readKey(key.Value, value, at, seen); err != nil {
			l.faults = append(l.faults, &runner.UsageError{Option: at, Value: key.Value, Err: err})
		}
	}
}

// parseYAML returns the one mapping that a file holds; a file of comments holds an empty one. A second document would be lost in silence and
// is refused.
func parseYAML(data []byte) (*yaml.Node, error) {
	in := yaml.NewDecoder(bytes.NewReader(data))
	var doc, rest yaml.Node
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{}, nil
	case err != nil:
		return nil, err
	case doc.Content[0].Kind != yaml.MappingNode:
		return nil, errors.New("must hold settings, each written as key: value")
	}
	if err := in.Decode(&rest); !errors.Is(err, io.EOF) {
		return nil, errors.New("must be a single document, without ---")
	}
	return doc.Content[0], nil
}

func (l *loader) readKey(key string, value *yaml.Node, at string, seen map[string]bool) error {
	s, ok := l.find(key)
	if !ok {
		return unknownKey(key, l.keys())
	}
	if s.once {
		return errOnce
	}
	if seen[key] {
		return errors.New("is set a second time")
	}
	seen[key] = true
	values, err := valuesOf(s, value)
	if err != nil || values == nil {
		return err
	}
	l.set(s, values, source{layer: fromFile, text: at}, at+": "+key)
	return nil
}

// find returns the setting of this name.
func (l *loader) find(key string) (setting, bool) {
	for _, s := range l.settings {
		if s.name == key {
			return s, true
		}
	}
	return setting{}, false
}

func (l *loader) keys() []string {
	var keys []string
	for _, s := range l.settings {
		if !s.once {
			keys = append(keys, s.name)
		}
	}
	return keys
}

// valuesOf returns the texts of a value; nil where it is empty. A list may be written as one text too, in the form that the environment has.
func valuesOf(s setting, node *yaml.Node) ([]string, error) {
	switch {
	case node.Tag == "!!null":
		return nil, nil
	case node.Kind == yaml.ScalarNode && s.isList():
		return splitLines(node.Value), nil
	case node.Kind == yaml.ScalarNode:
		return []string{node.Value}, nil
	case node.Kind != yaml.SequenceNode || !s.isList():
		return nil, errors.New("must be a single value, or a list where the flag may be repeated")
	}
	values := []string{}
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			return nil, fmt.Errorf("line %d: must be a text", item.Line)
		}
		values = append(values, item.Value)
	}
	return values, nil
}

func unknownKey(key string, known []string) error {
	if near := nearest(key, known); near != "" {
		return fmt.Errorf("is no setting; did you mean %s?", near)
	}
	return errors.New("is no setting")
}
