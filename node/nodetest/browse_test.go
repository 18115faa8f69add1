package nodetest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"baton/node/nodetest"
)

// Who has the receipt for a message finds it in the queue, at once: a receipt
// goes out when the message is committed, a moment before the index has it.
func TestBrowserSeesWhatHasItsReceipt(t *testing.T) {
	c := nodetest.Start(t, nodetest.Config{})
	conn := dialLeader(t, c)
	for i := range 100 {
		queue := fmt.Sprintf("seen.%d", i)
		require.NoError(t, conn.Ask("SEND", "a", "destination:/queue/"+queue))
		require.NoError(t, conn.Write("SEND", "b", "destination:/queue/"+queue)) // nobody has asked for its receipt
		require.NoError(t, conn.Write("SUBSCRIBE", "", "id:"+queue, "destination:/queue/"+queue, "browser:true"))
		for _, want := range []string{"a", "b"} {
			require.Equal(t, want, string(message(t, conn).Body), queue)
		}
		require.Equal(t, "end", message(t, conn).Get("browser"), queue)
		require.NoError(t, conn.Ask("UNSUBSCRIBE", "", "id:"+queue))
	}
}
