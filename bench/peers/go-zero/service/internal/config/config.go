// Package config is what goctl leaves to be filled in.
package config

import (
	"github.com/zeromicro/go-zero/core/stores/cache"
	"github.com/zeromicro/go-zero/zrpc"
)

// Config of the service: its server, the database and the cache in front of it.
type Config struct {
	zrpc.RpcServerConf
	DataSource string
	Cache      cache.CacheConf
	// Rows makes every request read another row, from 1 to Rows, whatever it asks for: load of one constant
	// request then never finds its row in the cache. 0: the row that is asked for.
	Rows int64 `json:",default=0"`
}
