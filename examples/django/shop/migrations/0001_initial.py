from django.db import migrations, models

key = ("id", models.BigAutoField(primary_key=True, serialize=False))


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Customer", [key, ("email", models.EmailField(max_length=254, unique=True))]),
        migrations.CreateModel(
            "Mail",
            [
                key,
                ("to", models.EmailField(max_length=254)),
                ("subject", models.CharField(max_length=200)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            "Report",
            [
                key,
                ("kind", models.CharField(max_length=50)),
                ("customers", models.IntegerField()),
                ("made_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
