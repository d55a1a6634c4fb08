// PocketBase as a peer of the benchmarks: its own server and REST API, one collection with the same columns as
// bench/schema.proto, filled at the first start.
//
// Environment: PEER_ROWS (rows to insert when the collection is made), PEER_LOGS=0 (request log off),
// PEER_SYNC=FULL (SQLite's synchronous pragma; PocketBase's own default is NORMAL).
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"
)

const batch = 500

func main() {
	app := pocketbase.NewWithConfig(pocketbase.Config{DBConnect: connect})
	app.OnServe().BindFunc(func(event *core.ServeEvent) error {
		event.InstallerFunc = nil
		if err := configure(event.App); err != nil {
			return err
		}
		if err := fill(event.App); err != nil {
			return err
		}
		return event.Next()
	})
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}

// connect is core.DefaultDBConnect with the durability asked for.
func connect(path string) (*dbx.DB, error) {
	sync := os.Getenv("PEER_SYNC")
	if sync == "" {
		sync = "NORMAL"
	}
	pragmas := "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)" +
		"&_pragma=synchronous(" + sync + ")&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)"
	return dbx.Open("sqlite", path+pragmas)
}

func configure(app core.App) error {
	settings := app.Settings()
	settings.Logs.MaxDays = 5
	if os.Getenv("PEER_LOGS") == "0" {
		settings.Logs.MaxDays = 0
	}
	settings.RateLimits.Enabled = false
	return app.Save(settings)
}

func fill(app core.App) error {
	if _, err := app.FindCollectionByNameOrId("items"); err == nil {
		return nil
	}
	open := ""
	items := core.NewBaseCollection("items")
	items.ListRule, items.ViewRule, items.CreateRule = types.Pointer(open), types.Pointer(open), types.Pointer(open)
	items.Fields.Add(
		&core.TextField{Name: "name"}, &core.TextField{Name: "email"}, &core.NumberField{Name: "category", OnlyInt: true},
		&core.TextField{Name: "city"}, &core.NumberField{Name: "price"}, &core.NumberField{Name: "stock", OnlyInt: true},
		&core.BoolField{Name: "active"}, &core.DateField{Name: "created_at"}, &core.TextField{Name: "description"},
	)
	items.AddIndex("idx_items_category", false, "category", "")
	if err := app.Save(items); err != nil {
		return err
	}
	rows, _ := strconv.Atoi(os.Getenv("PEER_ROWS"))
	return app.RunInTransaction(func(tx core.App) error {
		for first := 1; first <= rows; first += batch {
			if err := insert(tx, first, min(first+batch-1, rows)); err != nil {
				return err
			}
		}
		return nil
	})
}

// insert writes the rows with the same values as `xtask bench` writes for rowkeep.
func insert(app core.App, first, last int) error {
	values := make([]string, 0, batch)
	for id := first; id <= last; id++ {
		values = append(values, fmt.Sprintf(
			"('%015d','Item number %08d','owner%08d@example.com',%d,'City %04d',%g,%d,%d,'2026-01-02 03:04:05.000Z','%s')",
			id, id, id, id%2500, id%1000, float64(id%10000)+0.25, id%500, id%2, description))
	}
	_, err := app.DB().NewQuery("INSERT INTO items (id,name,email,category,city,price,stock,active,created_at,description) VALUES " +
		strings.Join(values, ",")).Execute()
	return err
}

const description = "Plain words to bring the row to two hundred bytes, as in a shop: sturdy, blue, washable, two years old, used with."
