package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// relaxing makes the test's program one that relaxes its timers and says so.
const relaxing = "BATON_TEST_RELAXING"

func init() {
	if os.Getenv(relaxing) != "" {
		relaxTimers()
		fmt.Printf("%d %v", os.Getpid(), ownSlack())
		os.Exit(0)
	}
}

func TestANodeRelaxesItsTimersOnce(t *testing.T) {
	for name, c := range map[string]struct{ given, want time.Duration }{
		"as usual":                {usualSlack, timerSlack},
		"somebody's choice":       {70 * time.Microsecond, 70 * time.Microsecond},
		"relaxed before it began": {timerSlack, timerSlack},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // a child gets the slack of the thread that starts it
			defer runtime.UnlockOSThread()
			was := ownSlack()
			require.NoError(t, unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.given), 0, 0, 0))
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), relaxing+"=1")
			var out strings.Builder
			cmd.Stdout = &out
			err := cmd.Run()
			require.NoError(t, unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(was), 0, 0, 0))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("%d %v", cmd.Process.Pid, c.want), out.String())
		})
	}
}
