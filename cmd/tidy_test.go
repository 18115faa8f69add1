// Package cmd holds the commands, and the repository's own rules as a test.
package cmd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	fileLinesMax     = 800
	functionLinesMax = 70
)

// topLevel is all that may stand in the root, beside dot-files.
var topLevel = []string{"README.md", "cmd", "demo", "go.mod", "go.sum", "node", "repl", "store", "tui", "zkclient"}

// file is one parsed Go file; dir and name are slash-separated from the root.
type file struct {
	dir, name string
	test      bool
	lines     int
	text      string
	ast       *ast.File
}

func load(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(filepath.ToSlash(p), "../")
		files = append(files, file{dir: path.Dir(name), name: name, test: strings.HasSuffix(name, "_test.go"),
			lines: strings.Count(string(src), "\n"), text: string(src), ast: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, files
}

func TestTopLevelHoldsOnlyWhatItShould(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) && e.Name() != "baton" {
			t.Errorf("%s does not belong in the root", e.Name())
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	_, files := load(t)
	comments, dirs := map[string][]string{}, map[string]bool{}
	for _, f := range files {
		if f.test && f.dir != "cmd" {
			continue
		}
		dirs[f.dir] = true
		if f.ast.Doc != nil {
			comments[f.dir] = append(comments[f.dir], f.name)
		}
	}
	for d := range dirs {
		if n := len(comments[d]); n != 1 {
			t.Errorf("%s has %d package comments, it needs one: %v", d, n, comments[d])
		}
	}
}

// layer says which packages of ours the packages below a directory may import.
// The first rule whose prefix fits counts.
type layer struct {
	dir    string
	may    []string // prefixes
	maynot []string // prefixes that win over may
}

var layers = []layer{
	{dir: "store", may: []string{"store"}},
	{dir: "repl", may: []string{"repl", "store/record"}},
	{dir: "zkclient/ensemble", may: []string{"zkclient", "node/supervisor"}}, // runs ZooKeeper's own processes
	{dir: "zkclient", may: []string{"zkclient"}},
	{dir: "node/adminapi", may: []string{}},
	{dir: "node/stomp", may: []string{"node/stomp", "node/broker/destination", "node/broker/selector"}, maynot: []string{"node/stompserver"}},
	{dir: "node/events", may: []string{"node/adminapi"}},
	{dir: "node/client", may: []string{"node/client"}},
	{dir: "node/supervisor", may: []string{"node/supervisor"}},
	{dir: "node/broker/brokertest", may: []string{"node/broker", "store"}},
	{dir: "node/broker", may: []string{"node/broker", "node/adminapi", "store/record"}},
	{dir: "node", may: []string{"node", "store", "repl", "zkclient"}},
	{dir: "demo", may: []string{"demo", "node/adminapi", "node/client", "node/supervisor", "zkclient/ensemble"}},
	{dir: "tui", may: []string{"tui", "demo", "zkclient", "node/adminapi", "node/client", "node/supervisor"}},
	{dir: "cmd", may: []string{""}},
}

func TestImportLayers(t *testing.T) {
	_, files := load(t)
	for _, f := range files {
		i := slices.IndexFunc(layers, func(l layer) bool { return below(f.dir, l.dir) })
		if i < 0 {
			t.Errorf("%s: no import rule for its directory", f.name)
			continue
		}
		for _, imp := range f.ast.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if strings.HasPrefix(p, "github.com/charmbracelet/bubbletea") && !below(f.dir, "tui") {
				t.Errorf("%s imports bubbletea, which belongs to tui alone", f.name)
			}
			own, ok := strings.CutPrefix(p, "baton/")
			if !ok || own == f.dir || f.test && strings.HasSuffix(own, "test") {
				continue // test support packages may be used by tests everywhere
			}
			fits := func(d string) bool { return d == "" || below(own, d) }
			if !slices.ContainsFunc(layers[i].may, fits) || slices.ContainsFunc(layers[i].maynot, fits) {
				t.Errorf("%s imports baton/%s; %s may import only %v", f.name, own, layers[i].dir, layers[i].may)
			}
		}
	}
}

func below(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

// pure packages decide what may be lost: they have no clock, goroutines, files
// or sockets.
var pure = []string{"store/record", "repl/quorum", "repl/progress", "repl/election", "node/stomp", "node/broker/destination", "node/broker/selector"}

func TestPurePackagesStayPure(t *testing.T) {
	_, files := load(t)
	for _, f := range files {
		if f.test || !slices.Contains(pure, f.dir) {
			continue
		}
		for _, imp := range f.ast.Imports {
			if p, _ := strconv.Unquote(imp.Path.Value); slices.Contains([]string{"os", "net", "sync", "context", "path/filepath"}, p) {
				t.Errorf("%s imports %s, but its package is pure", f.name, p)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine, but its package is pure", f.name)
			}
			if c, ok := n.(*ast.CallExpr); ok && slices.Contains([]string{"time.Now", "time.Since", "time.Until", "time.After"}, callee(c)) {
				t.Errorf("%s calls %s, but its package is pure", f.name, callee(c))
			}
			return true
		})
	}
}

func callee(c *ast.CallExpr) string {
	if s, ok := c.Fun.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	fset, files := load(t)
	for _, f := range files {
		if f.lines > fileLinesMax {
			t.Errorf("%s has %d lines, at most %d: one noun a file", f.name, f.lines, fileLinesMax)
		}
		if f.test || support(f.dir) {
			continue // tables of cases may be long
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || flat(fn) {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > functionLinesMax {
				t.Errorf("%s: %s has %d lines, at most %d", f.name, fn.Name.Name, n, functionLinesMax)
			}
		}
	}
}

// flat says that a function is little more than one switch or select, or one
// literal such as a table of flags: long, but read from top to bottom.
func flat(fn *ast.FuncDecl) bool {
	var biggest, total token.Pos
	for _, s := range fn.Body.List {
		size := s.End() - s.Pos()
		total += size
		switch s.(type) {
		case *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt, *ast.ReturnStmt:
			biggest = max(biggest, size)
		}
	}
	return biggest*10 >= total*8
}

func TestBannedCalls(t *testing.T) {
	fset, files := load(t)
	for _, f := range files {
		library := !f.test && !below(f.dir, "cmd") && !support(f.dir)
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := callee(n)
				switch {
				case f.test && name == "time.Sleep":
					t.Errorf("%s sleeps: wait on a condition", fset.Position(n.Pos()))
				case library && (strings.HasPrefix(name, "fmt.Print") || strings.HasPrefix(name, "log.") && name != "log."):
					if !strings.HasPrefix(name, "log.") || importsStdLog(f.ast) {
						t.Errorf("%s calls %s: return an error, or use the injected logger", fset.Position(n.Pos()), name)
					}
				case library && name == "os.Exit":
					t.Errorf("%s exits the process: return an error", fset.Position(n.Pos()))
				}
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil && f.dir != "tui/earlyterm" && !f.test {
					t.Errorf("%s: init functions hide order; only tui/earlyterm needs one", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// support says that a package serves tests: its fakes of processes print and exit.
func support(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(e string) bool { return strings.HasSuffix(e, "test") })
}

func importsStdLog(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"log"` })
}

func TestNothingIsLeftUndone(t *testing.T) {
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	_, files := load(t)
	for _, f := range files {
		for i, line := range strings.Split(f.text, "\n") {
			if marks.MatchString(line) {
				t.Errorf("%s:%d: %s", f.name, i+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestHardPackagesHaveADesignPage(t *testing.T) {
	for _, d := range []string{"store", "repl", "zkclient", "node"} {
		if _, err := os.Stat(filepath.Join("..", d, "DESIGN.md")); err != nil {
			t.Error(fmt.Errorf("%s needs a DESIGN.md: %w", d, err))
		}
	}
}
