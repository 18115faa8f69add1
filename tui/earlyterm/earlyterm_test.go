package earlyterm_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	_ "github.com/charmbracelet/bubbletea"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	_ "baton/tui/earlyterm"
)

// TestMain is also the program under test: it links bubbletea, as baton does,
// and prints one line.
func TestMain(m *testing.M) {
	if os.Getenv("EARLYTERM_HELP") != "" {
		fmt.Println("usage: baton")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestMuteTerminal starts the program on a terminal that never answers:
// bubbletea alone would wait five seconds there and print a query.
func TestMuteTerminal(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EARLYTERM_HELP=1", "TERM=xterm-256color", "STY=", "TMUX=")
	tty, err := pty.Start(cmd)
	require.NoError(t, err)
	defer tty.Close()
	out, _ := io.ReadAll(tty) // ends with EIO when the program is gone
	require.NoError(t, cmd.Wait())
	require.Equal(t, "usage: baton\r\n", string(out), "no query before the first word, whose answer would be waited for")
}
