// Package config is what goctl leaves to be filled in.
package config

import (
	"github.com/zeromicro/go-zero/core/stores/cache"
	"github.com/zeromicro/go-zero/rest"
)

// Config of the service: its server, the database and the cache in front of it.
type Config struct {
	rest.RestConf
	DataSource string
	Cache      cache.CacheConf
}
