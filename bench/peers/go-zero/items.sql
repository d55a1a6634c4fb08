CREATE TABLE `items` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `name` varchar(255) NOT NULL,
  `email` varchar(255) NOT NULL,
  `category` int NOT NULL,
  `city` varchar(255) NOT NULL,
  `price` double NOT NULL,
  `stock` bigint NOT NULL,
  `active` tinyint NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `description` longtext NOT NULL,
  PRIMARY KEY (`id`)
);
