// Package svc is what goctl leaves to be filled in.
package svc

import (
	"github.com/zeromicro/go-zero/core/stores/sqlx"

	"rowkeep/bench/peers/go-zero/model"
	"rowkeep/bench/peers/go-zero/rest/internal/config"
)

// ServiceContext holds what requests share.
type ServiceContext struct {
	Config config.Config
	Items  model.ItemsModel
}

// NewServiceContext opens the database and the cache.
func NewServiceContext(c config.Config) *ServiceContext {
	return &ServiceContext{Config: c, Items: model.NewItemsModel(sqlx.NewMysql(c.DataSource), c.Cache)}
}
