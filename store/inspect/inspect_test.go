package inspect_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/store"
	"baton/store/inspect"
	"baton/store/record"
	"baton/store/wal"
)

// directory is a store of 60 messages, 20 acked, in two epochs.
func directory(t *testing.T) (string, *store.Store) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := store.Open(store.Config{Dir: dir, SegmentSize: 4 << 10})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	require.NoError(t, s.SetIdentity("c1", "n1"))
	for i := range 60 {
		b := record.NewBatch(300)
		e := record.Enqueue{Queue: fmt.Sprintf("q%d", i%2), Message: record.Message{ID: fmt.Sprint(i), Body: make([]byte, 200)}}
		b.Add(record.TypeEnqueue, e.AppendTo)
		if i >= 40 {
			b.Add(record.TypeAck, record.Ack{Queue: "q0", Sequences: []record.Sequence{record.Sequence(i - 39)}}.AppendTo)
		}
		_, err := s.Log().Append(record.Epoch(1+i/30), 0, b)
		require.NoError(t, err)
	}
	require.NoError(t, s.Log().WaitFlushed(context.Background(), s.Log().Positions().Append))
	return dir, s
}

func verify(t *testing.T, dir string) (inspect.Walker, []string) {
	t.Helper()
	var found []string
	w := inspect.Walker{Dir: dir, Finding: func(f inspect.Finding) { found = append(found, f.String()) }}
	require.NoError(t, w.Walk())
	return w, found
}

func segments(t *testing.T, dir string) []string {
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	require.NoError(t, err)
	require.Greater(t, len(names), 3)
	return names
}

func TestFineDirectory(t *testing.T) {
	dir, s := directory(t)
	for _, when := range []string{"in use", "closed"} {
		w, found := verify(t, dir)
		require.Empty(t, found, when)
		p := s.Log().Positions()
		require.Equal(t, []record.Position{p.Start, p.Append}, []record.Position{w.Start, w.End}, when)
		require.Equal(t, s.Log().EpochBoundaries(), w.Boundaries, when)
		require.Equal(t, len(segments(t, dir)), w.Segments)
		if when == "in use" {
			require.NoError(t, s.Close())
		}
	}
	st, err := inspect.Summarize(dir, nil)
	require.NoError(t, err)
	require.Equal(t, []inspect.QueueStats{{"q0", 30, 20, 10, 0}, {"q1", 30, 0, 30, 0}}, st.Queues)
	require.Equal(t, map[string]uint64{"enqueue": 60, "ack": 20}, st.Records)
	require.Equal(t, "n1", st.Meta.Node)
	require.True(t, st.HasIndex)
}

// TestTrimmedDirectory: depths are told although the log has lost its
// beginning, and damage to what says so is found.
func TestTrimmedDirectory(t *testing.T) {
	dir, s := directory(t)
	b := record.NewBatch(300)
	for q := range 2 {
		a := record.Ack{Queue: fmt.Sprintf("q%d", q)}
		for seq := range record.Sequence(29) { // of 30; some are acknowledged twice
			a.Sequences = append(a.Sequences, seq+1)
		}
		b.Add(record.TypeAck, a.AppendTo)
	}
	end, err := s.Log().Append(2, 0, b)
	require.NoError(t, err)
	require.NoError(t, s.Log().WaitFlushed(t.Context(), end))
	require.NoError(t, s.Apply(end, nil))
	did, err := s.Trim(t.Context(), end)
	require.NoError(t, err)
	require.NotZero(t, did.Segments)
	require.NoError(t, s.Close())

	_, found := verify(t, dir)
	require.Empty(t, found)
	st, err := inspect.Summarize(dir, nil)
	require.NoError(t, err)
	require.Equal(t, did.To, st.Start)
	require.Equal(t, []inspect.QueueStats{{"q0", 30, 29, 1, 0}, {"q1", 30, 29, 1, 0}}, st.Queues)
	require.Empty(t, st.Uncounted)

	for _, path := range []string{wal.BasePath(dir, did.To), wal.StartPath(dir)} {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		data[len(data)/2] ^= 1
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_, found := verify(t, dir)
		require.Len(t, found, 1, path)
		require.Contains(t, found[0], path)
		st, err := inspect.Summarize(dir, nil)
		require.NoError(t, err)
		require.Contains(t, st.Uncounted, path)
		data[len(data)/2] ^= 1
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	require.NoError(t, os.Remove(wal.StartPath(dir)))
	_, found = verify(t, dir)
	require.Len(t, found, 1)
	require.Contains(t, found[0], fmt.Sprintf("expected a segment that holds this position, found a log that begins at %d", st.Start))
}

func TestDirectoryIsNotTouched(t *testing.T) {
	dir, s := directory(t)
	require.NoError(t, s.Close())
	before := tree(t, dir)
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return os.Chmod(p, 0o555)
		}
		return os.Chmod(p, 0o444)
	}))
	t.Cleanup(func() {
		os.Chmod(dir, 0o755)
		os.Chmod(filepath.Join(dir, "log"), 0o755)
		os.Chmod(filepath.Join(dir, "index"), 0o755)
	})
	_, found := verify(t, dir)
	require.Empty(t, found)
	require.Equal(t, before, tree(t, dir))
}

func tree(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, rerr := os.ReadFile(p)
			out[p], err = string(b), rerr
		}
		return err
	}))
	return out
}

func TestDamagedDirectories(t *testing.T) {
	overwrite := func(t *testing.T, path string, off int64, b ...byte) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		defer f.Close()
		_, err = f.WriteAt(b, off)
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string // parts of one finding
	}{
		"a flipped byte in a sealed segment": {func(t *testing.T, dir string) { overwrite(t, segments(t, dir)[1], 5000, 0xff, 0xfe) },
			[]string{".log", "expected a valid batch", "checksum", "the next valid batch is at", "from its leader"}},
		"a flipped byte below the flush mark": {func(t *testing.T, dir string) { n := segments(t, dir); overwrite(t, n[len(n)-1], 4096+80, 0xff, 0xfe) },
			[]string{"expected a valid batch"}},
		"a header that is gone": {func(t *testing.T, dir string) { overwrite(t, segments(t, dir)[1], 0, 'X') },
			[]string{"segment header with base position", `magic "XTNSEG1`}},
		"a missing segment": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(segments(t, dir)[1])) },
			[]string{"batches up to", "where the next segment begins", "end of the file"}},
		"a missing last segment": {func(t *testing.T, dir string) { n := segments(t, dir); require.NoError(t, os.Remove(n[len(n)-1])) },
			[]string{"the next segment", "no such file"}},
		"a segment that is too short": {func(t *testing.T, dir string) { require.NoError(t, os.Truncate(segments(t, dir)[1], 6000)) },
			[]string{"position"}},
		"a foreign file": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "log", "notes.txt"), nil, 0o600))
		}, []string{"notes.txt", "foreign"}},
		"a damaged META": {func(t *testing.T, dir string) { overwrite(t, filepath.Join(dir, "META"), 20, '#') },
			[]string{"META", "promises"}},
		"no META": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "META"))) },
			[]string{"META", "no such file"}},
		"no log": {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, "log"))) },
			[]string{"no such directory"}},
		"an empty log": {func(t *testing.T, dir string) {
			for _, n := range segments(t, dir) {
				require.NoError(t, os.Remove(n))
			}
		}, []string{"none"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := directory(t)
			require.NoError(t, s.Close())
			c.damage(t, dir)
			_, found := verify(t, dir)
			require.NotEmpty(t, found)
			all := strings.Join(found, "\n")
			for _, part := range c.want {
				require.Contains(t, all, part)
			}
			require.NotContains(t, found[0], "\n", "one line each")
		})
	}
}

func TestTornTailIsNoFinding(t *testing.T) {
	dir, s := directory(t)
	require.NoError(t, s.Close())
	n := segments(t, dir)
	f, err := os.OpenFile(n[len(n)-1], os.O_RDWR, 0)
	require.NoError(t, err)
	w, _ := verify(t, dir)
	base := w.End
	raw, err := os.ReadFile(n[0])
	require.NoError(t, err)
	var first record.Position
	_, err = fmt.Sscanf(filepath.Base(n[len(n)-1]), "%x", &first)
	require.NoError(t, err)
	_, err = f.WriteAt(raw[4096:4196], 4096+int64(base-first))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	w, found := verify(t, dir)
	require.Empty(t, found)
	require.Positive(t, w.TornBytes)
	require.LessOrEqual(t, w.TornBytes, int64(100))
	require.Equal(t, base, w.End)
}

func TestDump(t *testing.T) {
	dir, _ := directory(t)
	lines := func(o inspect.DumpOptions) []string {
		var b bytes.Buffer
		require.NoError(t, inspect.Dump(dir, o, &b, nil))
		return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	}
	all := lines(inspect.DumpOptions{})
	require.Len(t, all, 80)
	require.Contains(t, all[0], "enqueue")
	require.Len(t, lines(inspect.DumpOptions{Queue: "q1"}), 30)
	from, _, _ := strings.Cut(all[10], "\t")
	to, _, _ := strings.Cut(all[20], "\t")
	var o inspect.DumpOptions
	fmt.Sscan(from, &o.Range.From)
	fmt.Sscan(to, &o.Range.To)
	require.Equal(t, all[10:20], lines(o))
	require.Contains(t, lines(inspect.DumpOptions{JSON: true})[79], `"sequences":[20]`)
}

func TestNoDirectory(t *testing.T) {
	w := inspect.Walker{Dir: filepath.Join(t.TempDir(), "none")}
	require.ErrorIs(t, w.Walk(), os.ErrNotExist)
}

// TestEveryType: stats and dump know what each type of record does, and agree
// with the index.
func TestEveryType(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := store.Open(store.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	b := record.NewBatch(300)
	enqueue := func(queue, id string) {
		b.Add(record.TypeEnqueue, record.Enqueue{Queue: queue, Message: record.Message{ID: "m", DedupID: id, Deadline: 5}}.AppendTo)
	}
	b.Add(record.TypeEpochStart, record.EpochStart{Leader: "n1"}.AppendTo)
	enqueue("q", "a")
	first := record.Position(b.Len())
	enqueue("q", "a")
	enqueue("q", "b")
	b.Add(record.TypeForget, record.Forget{Below: first}.AppendTo)
	enqueue("q", "a")
	enqueue("gone", "")
	b.Add(record.TypeRedeliver, record.Redeliver{Queue: "q", Messages: []record.Redelivered{{Sequence: 2, Count: 4}}}.AppendTo)
	b.Add(record.TypeMove, record.Move{Sequence: 2, From: first, Enqueue: record.Enqueue{Queue: "q", Message: record.Message{ID: "m", Redeliveries: 4}}}.AppendTo)
	b.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: "q"}.AppendTo)
	b.Add(record.TypeAck, record.Ack{Queue: "gone", Sequences: []record.Sequence{1}}.AppendTo)
	b.Add(record.TypeDeleteQueue, record.DeleteQueue{Queue: "gone"}.AppendTo)
	b.Add(record.TypeSubscribe, record.Subscribe{ClientID: "c", Name: "s", Destination: "t.>"}.AppendTo)
	b.Add(record.TypeSubscribe, record.Subscribe{ClientID: "c", Name: "r", Destination: "t.a"}.AppendTo)
	b.Add(record.TypeUnsubscribe, record.Unsubscribe{ClientID: "c", Name: "r"}.AppendTo)
	add := func(b *record.Batch) {
		end, err := s.Log().Append(1, 0, b)
		require.NoError(t, err)
		require.NoError(t, s.Log().WaitFlushed(context.Background(), end))
	}
	add(b)

	var found []inspect.Finding
	note := func(f inspect.Finding) { found = append(found, f) }
	st, err := inspect.Summarize(dir, note)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Empty(t, st.Uncounted)
	b = record.NewBatch(100)
	b.Add(99, func(b []byte) []byte { return b })
	add(b)
	partly, err := inspect.Summarize(dir, note)
	require.NoError(t, err)
	require.Len(t, found, 1, "of the type that is not known")
	require.Contains(t, partly.Uncounted, "unknown type")
	require.Empty(t, partly.Queues)
	require.Contains(t, found[0].String(), "newer")
	w := inspect.Walker{Dir: dir, Finding: func(f inspect.Finding) { found = append(found, f) }}
	w.Batch = w.Bodies
	require.NoError(t, w.Walk())
	require.Len(t, found, 2)
	require.Equal(t, found[0], found[1])
	require.Equal(t, []inspect.QueueStats{{Name: "q", Enqueued: 3, Depth: 3, Duplicates: 1}}, st.Queues)
	require.EqualValues(t, 2, st.IDs)
	require.Len(t, st.Subscriptions, 1)
	require.Equal(t, "t.>", st.Subscriptions[0].Destination)
	var out bytes.Buffer
	require.NoError(t, inspect.Dump(dir, inspect.DumpOptions{}, &out, nil))
	for _, want := range []string{"dedup-id=\"a\"", "deadline=5", "below=", "redeliveries=4", "sequence=2 from=", "delete-queue", `destination="t.>"`,
		"unsubscribe", `client="c" name="r"`, "not known to this program"} {
		require.Contains(t, out.String(), want)
	}
}

// TestRecycledSegmentIsNoFinding: what an earlier segment left behind the end
// of the log is neither damage nor a torn tail.
func TestRecycledSegmentIsNoFinding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := store.Open(store.Config{Dir: dir, SegmentSize: 4 << 10})
	require.NoError(t, err)
	require.NoError(t, s.SetIdentity("c1", "n1"))
	recycled := false
	for i := 1; i < 2000 && !recycled; i++ {
		b := record.NewBatch(300)
		b.Add(record.TypeEnqueue, record.Enqueue{Queue: "q", Message: record.Message{ID: fmt.Sprint(i), Body: make([]byte, 200)}}.AppendTo)
		b.Add(record.TypeAck, record.Ack{Queue: "q", Sequences: []record.Sequence{record.Sequence(i)}}.AppendTo)
		end, err := s.Log().Append(1, end(s), b)
		require.NoError(t, err)
		require.NoError(t, s.Log().WaitFlushed(context.Background(), end))
		require.NoError(t, s.Apply(end, nil))
		_, err = s.Trim(context.Background(), end)
		require.NoError(t, err)
		bases := s.Log().Bases()
		f, err := os.Open(filepath.Join(dir, "log", fmt.Sprintf("%016x.log", uint64(bases[len(bases)-1]))))
		require.NoError(t, err)
		info, err := wal.ReadSegmentInfo(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		recycled = info.Recycled
	}
	require.True(t, recycled, "no segment was used again")
	last := end(s)
	check := func(when string) {
		w, found := verify(t, dir)
		require.Empty(t, found, when)
		require.Zero(t, w.TornBytes, when)
		require.Equal(t, last, w.End, when)
	}
	check("in use")
	require.NoError(t, s.Close())
	check("closed")
}

func end(s *store.Store) record.Position { return s.Log().Positions().Append }
