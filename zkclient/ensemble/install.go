package ensemble

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNotInstalled says that ZooKeeper cannot be started here; the text says
// what is missing and how to get it.
var ErrNotInstalled = errors.New("ensemble: a real ZooKeeper cannot be started")

// Installation is what the servers are started from.
type Installation struct {
	Java      string   // the program
	ClassPath []string // zookeeper.jar, whose manifest names its dependencies, and a logging binding, which it does not
}

const (
	jarDir       = "/usr/share/java"
	zookeeperJar = "zookeeper.jar"
	loggingJar   = "slf4j-simple.jar"
	howToInstall = "on Debian run: apt-get install zookeeper libslf4j-java default-jre-headless"
)

// Find looks for Java (in JAVA_HOME, then on PATH) and for the jars of Debian's
// packages. Everything that is missing is named in one ErrNotInstalled.
func Find() (Installation, error) { return find(jarDir, os.Getenv("JAVA_HOME")) }

func find(jars, javaHome string) (Installation, error) {
	if runtime.GOOS != "linux" {
		return Installation{}, fmt.Errorf("%w on %s, where its processes could outlive this one; use the embedded one, or name servers that run elsewhere", ErrNotInstalled, runtime.GOOS)
	}
	var in Installation
	var missing []string
	for _, jar := range []string{zookeeperJar, loggingJar} {
		path := filepath.Join(jars, jar)
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, path)
		}
		in.ClassPath = append(in.ClassPath, path)
	}
	java, err := findJava(javaHome)
	if err != nil {
		missing = append(missing, "a Java runtime")
	}
	in.Java = java
	if len(missing) > 0 {
		return Installation{}, fmt.Errorf("%w: %s missing; %s", ErrNotInstalled, strings.Join(missing, " and "), howToInstall)
	}
	return in, nil
}

func findJava(home string) (string, error) {
	if home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", "java")); err == nil {
			return path, nil
		}
	}
	return exec.LookPath("java")
}
