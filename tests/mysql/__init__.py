"""On a real MySQL that somebody has, which names some things otherwise than MariaDB (make mysql URL=mysql://root@…)."""
