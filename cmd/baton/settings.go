package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// bindSettings makes every flag of a command an environment variable
// (BATON_ZK_PATH for --zk-path) and, where the command has --config, a key of
// a YAML file. The command line wins over the environment, and that over the
// file. A key that is no flag is an error with its line.
func bindSettings(c *cobra.Command) {
	for _, sub := range c.Commands() {
		bindSettings(sub)
	}
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := applySettings(cmd.Flags()); err != nil {
			return exitError{exitUsage, err}
		}
		return run(cmd, args)
	}
}

func applySettings(fs *pflag.FlagSet) error {
	given := map[string]bool{}
	fs.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		env := "BATON_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v, ok := os.LookupEnv(env)
		if !ok || given[f.Name] || f.Name == "help" || err != nil {
			return
		}
		given[f.Name] = true
		if e := fs.Set(f.Name, v); e != nil {
			err = fmt.Errorf("environment variable %s is %q: %w", env, v, e)
		}
	})
	if err != nil {
		return err
	}
	if f := fs.Lookup("config"); f != nil && f.Value.String() != "" {
		return applyFile(fs, f.Value.(*configFile), given)
	}
	return nil
}

// configFile is the value of --config. sections are keys of the file that are
// no flags: what is below them is more than a command line can say.
type configFile struct {
	path     string
	sections map[string]func(*yaml.Node) error
}

func (c *configFile) String() string     { return c.path }
func (c *configFile) Type() string       { return "string" }
func (c *configFile) Set(s string) error { c.path = s; return nil }

func applyFile(fs *pflag.FlagSet, file *configFile, given map[string]bool) error {
	path := file.path
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read --config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("read --config %s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return fmt.Errorf("--config %s, line %d: expected lines of key: value", path, top.Line)
	}
	seen := map[string]bool{}
	for i := 0; i < len(top.Content); i += 2 {
		key, val := top.Content[i], top.Content[i+1]
		f, section := fs.Lookup(key.Value), file.sections[key.Value]
		switch {
		case seen[key.Value]:
			return fmt.Errorf("--config %s, line %d: %q stands there twice", path, key.Line, key.Value)
		case section != nil:
			seen[key.Value] = true
			if err := section(val); err != nil {
				return fmt.Errorf("--config %s, %w", path, err)
			}
			continue
		case f == nil || slices.Contains([]string{"config", "help"}, key.Value):
			return fmt.Errorf("--config %s, line %d: there is no option %q", path, key.Line, key.Value)
		case given[key.Value]:
			seen[key.Value] = true
			continue
		}
		seen[key.Value] = true
		text, err := scalar(val)
		if err != nil {
			return fmt.Errorf("--config %s, line %d: %s: %w", path, val.Line, key.Value, err)
		}
		if err := fs.Set(key.Value, text); err != nil {
			return fmt.Errorf("--config %s, line %d: %w", path, val.Line, err)
		}
	}
	return nil
}

// scalar turns a YAML value into what would stand on the command line: lists
// are joined by commas.
func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		var parts []string
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("a list holds plain values only")
			}
			parts = append(parts, e.Value)
		}
		return strings.Join(parts, ","), nil
	case yaml.MappingNode:
		var parts []string
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i+1].Kind != yaml.ScalarNode {
				return "", fmt.Errorf("a map holds plain values only")
			}
			parts = append(parts, n.Content[i].Value+"="+n.Content[i+1].Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("expected a value, a list or a map")
}

// readSecret reads a token file; "" gives "". A file that others can read is
// refused, for it is no secret then.
func readSecret(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", usageError("--%s: %w", flag, err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return "", usageError("--%s %s can be read by others (mode %#o): run chmod 600 %s", flag, path, st.Mode().Perm(), path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", usageError("--%s: %w", flag, err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", usageError("--%s %s is empty", flag, path)
	}
	return s, nil
}
